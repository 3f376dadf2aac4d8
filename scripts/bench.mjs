/** `npm run bench`: this project against PyTorch and PEFT, on the same weights, in one run. See bench/main.ts. */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ensurePython } from './python-venv.mjs';
import { buildBundles, cacheFolder, ensureEngine, ensurePackages, root, StepError, say } from './steps.mjs';

const HELP = `npm run bench [-- options]
  --threads 1,2  numbers of cores, measured one after the other (default 1,2)
  --steps N      measured steps of each process, after two to warm up (default 5)
  --quick        only LoRA and SPSFT; writes no files
  --memory       memory alone, predicted beside measured: methods, levels and families, and the paper's figures; needs no Python
  --json         one JSON object, last on stdout
The results go to bench/results/. ROWTUNE_PYTHON names a Python that has the packages of scripts/python-requirements.txt already.`;

/** A benchmark of more is a slip of the keyboard. */
const MOST_THREADS = 256;
const MOST_STEPS = 1000;

function wholeNumber(text, most, option) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most)
    throw new Error(`${option} takes a whole number from 1 to ${most}, not '${text}'`);
  return value;
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      threads: { type: 'string', default: '1,2' },
      steps: { type: 'string', default: '5' },
      quick: { type: 'boolean', default: false },
      memory: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  return {
    help: values.help,
    quick: values.quick,
    memory: values.memory,
    json: values.json,
    steps: wholeNumber(values.steps, MOST_STEPS, '--steps'),
    threads: values.threads.split(',').map(text => wholeNumber(text, MOST_THREADS, '--threads')),
  };
}

async function bundle() {
  const { build } = await import('esbuild');
  const outdir = path.join(root, 'dist', 'bench');
  const entryPoints = ['main', 'step', 'matmul', 'memory', 'memory-step'].map(name => path.join(root, 'bench', `${name}.ts`));
  await build({
    entryPoints,
    outdir,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    outExtension: { '.js': '.mjs' },
    logLevel: 'warning',
  });
  return outdir;
}

/** Brings everything that both sides need, then measures. @returns {Promise<number>} 1 when something could not be measured */
async function prepareAndRun(wanted) {
  ensurePackages();
  buildBundles();
  if (!ensureEngine()) throw new StepError('the benchmark measures the TensorFlow engine, which could not be installed');
  const cacheDir = cacheFolder();
  if (wanted.memory) {
    const { runMemoryBench } = await import(path.join(await bundle(), 'memory.mjs'));
    return (await runMemoryBench({ ...wanted, root, cacheDir })) ? 0 : 1;
  }
  const { ensureModel } = await import('./demo/model.mjs');
  const model = await ensureModel(cacheDir);
  const { runBench } = await import(path.join(await bundle(), 'main.mjs'));
  return (await runBench({ ...wanted, root, cacheDir, python: ensurePython({ cacheDir, log: say }), model })) ? 0 : 1;
}

/** @returns {Promise<number>} the exit status: 2 for wrong arguments */
async function main() {
  let wanted;
  try {
    wanted = readArguments();
  } catch (error) {
    say(`${error.message}\n${HELP}`);
    return 2;
  }
  if (wanted.help) {
    console.log(HELP);
    return 0;
  }
  try {
    return await prepareAndRun(wanted);
  } catch (error) {
    say(`bench: ${error.message}`);
    return 1;
  }
}

process.exitCode = await main();
