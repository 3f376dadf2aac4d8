/** `npm run study`: ways to tune small models at equal budgets, over three seeds. See bench/study-plan.ts. */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { buildBundles, cacheFolder, ensureEngine, ensurePackages, root, run, StepError, say } from './steps.mjs';

const PARTS = ['vit', 'resnet', 'minilm', 'smollm2'];
/** Half of each are spam; more than any part takes. */
const MAILS = { train: 600, heldOut: 240 };
const HELP = `npm run study [-- options]
  --parts vit,resnet,minilm,smollm2  what is compared (default: all); the others keep their numbers
  --importance memory of the measures of importance instead, to bench/results/importance-memory.md; a quarter of an hour,
               4.3 GB on the disk and 5.3 GB of memory for a while
  --resume     continue a study that was interrupted, or that lacks ways
  --threads N  cores of one operation (default: all)
Three hours on two cores, two of them SmolLM2's. The results go to bench/results/study.md and study.json.`;

async function bundle() {
  const { build } = await import('esbuild');
  const outdir = path.join(root, 'dist', 'bench');
  const options = { bundle: true, platform: 'node', format: 'esm', target: 'node20', packages: 'external', logLevel: 'warning' };
  const entries = ['bench/study-worker.ts', 'bench/study-importance.ts', 'trainer/engine/tensorflow/environment.ts'].map(file =>
    path.join(root, file),
  );
  await build({ ...options, entryPoints: entries, outdir, entryNames: '[name]', outExtension: { '.js': '.mjs' } });
  return outdir;
}

async function prepareAndRun({ parts, threads, resume, importance }) {
  ensurePackages();
  buildBundles();
  if (!ensureEngine()) throw new StepError('the study is made with the TensorFlow engine, which could not be installed');
  const cacheDir = cacheFolder();
  const { ensureDigits } = await import('./demo/digits.mjs');
  const { ensureMiniLm } = await import('./demo/minilm.mjs');
  const { ensureModel } = await import('./demo/model.mjs');
  const { ensureSpamData } = await import('./demo/spam-data.mjs');
  const request = {
    cacheDir,
    results: path.join(root, 'bench', 'results'),
    digits: await ensureDigits(path.join(cacheDir, 'demo', 'digits')),
    spam: ensureSpamData(path.join(cacheDir, 'study'), MAILS),
    models: {
      minilm: parts.includes('minilm') ? await ensureMiniLm(cacheDir) : '',
      smollm2: parts.includes('smollm2') ? await ensureModel(cacheDir) : '',
    },
    threads,
    parts,
    resume,
  };
  const scripts = await bundle();
  const { workerEnvironment, WORKER_FLAGS } = await import(pathToFileURL(path.join(scripts, 'environment.mjs')).href);
  const script = importance ? 'study-importance.mjs' : 'study-worker.mjs';
  run(process.execPath, [...WORKER_FLAGS, path.join(scripts, script), JSON.stringify(request)], {
    env: { ...process.env, ...workerEnvironment({ threads }) },
  });
  say(`wrote bench/results/${importance ? 'importance-memory.md' : 'study.md and study.json'}`);
}

async function main() {
  const options = {
    parts: { type: 'string' },
    threads: { type: 'string', default: '0' },
    resume: { type: 'boolean' },
    importance: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  };
  let wanted;
  try {
    wanted = parseArgs({ options }).values;
    const unknown = wanted.parts?.split(',').find(part => !PARTS.includes(part));
    if (unknown !== undefined) throw new Error(`there is no part '${unknown}'`);
    if (!/^\d{1,3}$/.test(wanted.threads)) throw new Error(`--threads takes a whole number, not '${wanted.threads}'`);
  } catch (error) {
    say(`${error.message}\n${HELP}`);
    return 2;
  }
  if (wanted.help) {
    console.log(HELP);
    return 0;
  }
  try {
    const importance = wanted.importance === true;
    const parts = importance ? ['smollm2'] : (wanted.parts?.split(',') ?? PARTS);
    await prepareAndRun({ parts, threads: Number(wanted.threads), resume: wanted.resume === true, importance });
    return 0;
  } catch (error) {
    say(`study: ${error.message}`);
    return 1;
  }
}

process.exitCode = await main();
