/** `npm run study`: finds out which rows to train, at which learning rate, and compared with what. See bench/study/plan.md. */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { buildBundles, cacheFolder, ensureEngine, ensurePackages, root, run, runScript, StepError } from './steps.mjs';

/** Number of mails, half of them spam; more than any task uses. */
const MAILS = { train: 600, heldOut: 240 };
const HELP = `npm run study [-- options]
  --minutes N  stop before a run that would end later; the next call continues
  --tasks A,B  only these tasks (bench/study/plan.ts); the others keep their runs
  --arms A;B   only these arms (bench/study/arms.ts), such as "columns, wanda;pissa"
  --workers N  runs at a time (default: 2)
  --threads N  cores of one run (default: 1)
  --tiny       two updates per run, into a folder of its own: shows that every part works
  --importance memory of the measures of importance instead, to bench/results/importance-memory.md; a quarter of an hour,
               4.3 GB on the disk and 5.3 GB of memory for a while
  --neurons    whether chosen rows differ by task, data and seed instead, to bench/results/neurons.md; part by part
Every run is a line of bench/results/study.jsonl and is made once. bench/results/study.md is written from all of them.`;

const bundles = path.join(root, 'dist', 'bench');

async function bundle() {
  const { build } = await import('esbuild');
  const options = { bundle: true, platform: 'node', format: 'esm', target: 'node20', packages: 'external', logLevel: 'warning' };
  const names = ['study/main', 'study/worker', 'study/importance-memory', 'study/neurons/neurons'].map(name =>
    path.join(root, 'bench', `${name}.ts`),
  );
  const environment = path.join(root, 'trainer', 'engine', 'tensorflow', 'environment.ts');
  await build({
    ...options,
    entryPoints: [...names, environment],
    outdir: bundles,
    entryNames: 'study-[name]',
    outExtension: { '.js': '.mjs' },
  });
  const { workerEnvironment, WORKER_FLAGS } = await imported('environment');
  return { workerEnvironment, flags: WORKER_FLAGS };
}

const script = name => path.join(bundles, `study-${name}.mjs`);
const imported = name => import(pathToFileURL(script(name)).href);

async function prepareAndRun({ tasks, arms, threads, workers, minutes, tiny, importance, neurons }) {
  ensurePackages();
  buildBundles();
  if (!ensureEngine()) throw new StepError('the study is made with the TensorFlow engine, which could not be installed');
  const cacheDir = cacheFolder();
  const folder = path.join(cacheDir, 'study');
  const { ensureDigits } = await import('./demo/digits.mjs');
  const { ensureMiniLm } = await import('./demo/minilm.mjs');
  const { ensureModel } = await import('./demo/model.mjs');
  const { ensureSpamData } = await import('./demo/spam-data.mjs');
  const { ensureAddressParts } = await import('./study/addresses.mjs');
  const { ensureArithmetic } = await import('./study/arithmetic.mjs');
  const { ensureEmojis } = await import('./study/emojis.mjs');
  const { ensureNovel } = await import('./study/novel.mjs');
  const { ensureSentiments } = await import('./study/sentiments.mjs');
  const { ensureSpeeches } = await import('./study/speeches.mjs');
  const { ensureWordNet } = await import('./study/wordnet.mjs');
  const digits = await ensureDigits(path.join(cacheDir, 'demo', 'digits'));
  const mails = ensureSpamData(folder, MAILS);
  const models = { minilm: await ensureMiniLm(cacheDir), smollm2: await ensureModel(cacheDir) };
  const { workerEnvironment, flags } = await bundle();
  const environment = workerEnvironment({ threads });
  const results = path.join(root, 'bench', 'results');
  if (importance) {
    const request = { cacheDir, results, spam: mails, models, threads, resume: true };
    const arguments_ = [...flags, script('importance-memory'), JSON.stringify(request)];
    return run(process.execPath, arguments_, { env: { ...process.env, ...environment } });
  }
  const data = {
    digits: { train: digits.train, heldOut: digits.test },
    mails,
    ...ensureWordNet(folder),
    novel: ensureNovel(folder),
    addresses: await ensureAddressParts(folder),
    arithmetic: ensureArithmetic(folder),
    emojis: ensureEmojis(folder),
    speeches: ensureSpeeches(folder),
    sentiments: ensureSentiments(folder),
  };
  const sources = { data, models };
  if (neurons) {
    const request = { cacheDir, results, sources, threads, minutes };
    return run(process.execPath, [...flags, script('neurons'), JSON.stringify(request)], { env: { ...process.env, ...environment } });
  }
  const { study } = await imported('main');
  await study({
    cacheDir,
    results: tiny ? path.join(folder, 'tiny') : results,
    sources,
    tasks,
    arms,
    minutes,
    workers,
    threads,
    tiny,
    script: script('worker'),
    flags,
    environment,
  });
}

/** @throws Error if it is not a positive integer */
function whole(name, text) {
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
  throw new Error(`--${name} takes a whole number above 0, not '${text}'`);
}

const namesIn = (text, separator) =>
  text
    .split(separator)
    .map(name => name.trim())
    .filter(name => name !== '');

function readOptions() {
  const { values } = parseArgs({
    options: {
      tasks: { type: 'string', default: '' },
      arms: { type: 'string', default: '' },
      minutes: { type: 'string' },
      workers: { type: 'string', default: '2' },
      threads: { type: 'string', default: '1' },
      tiny: { type: 'boolean', default: false },
      importance: { type: 'boolean', default: false },
      neurons: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  return {
    ...values,
    tasks: namesIn(values.tasks, ','),
    // Separated by semicolons, because names of arms contain commas.
    arms: namesIn(values.arms, ';'),
    minutes: values.minutes === undefined ? undefined : whole('minutes', values.minutes),
    workers: whole('workers', values.workers),
    threads: whole('threads', values.threads),
  };
}

process.exitCode = await runScript({ name: 'study', help: HELP, readOptions, run: prepareAndRun });
