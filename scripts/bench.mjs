/** `npm run bench`: compares this project with PyTorch and PEFT, on the same weights, in one run. See bench/main.ts and bench/parts.ts. */
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ensurePython } from './python-venv.mjs';
import { buildBundles, cacheFolder, ensureEngine, ensurePackages, ensurePjrt, root, runScript, StepError, say } from './steps.mjs';

const PARTS = ['frontier', 'long', 'sweep', 'precision', 'load', 'serve', 'preferences', 'true-size', 'scale', 'scale-model', 'gpu'];
const MODELS = ['smollm2', 'minilm', 'deberta', 'vit', 'resnet', 'gemma', 'experts'];
/** Models whose license needs no explicit acceptance. */
const DEFAULT_MODELS = MODELS.filter(name => name !== 'gemma');
const PRECISIONS = ['float32', 'bfloat16'];

const HELP = `npm run bench [-- options]
SmolLM2-135M on one core and then on two, in float32; with --part, more of it:
  --part P,…     frontier: time against memory over models, methods, levels and precisions
                 long: sequences of 2048 and 8192 tokens
                 sweep: cost by tokens, layers and rank
                 precision: losses of bfloat16, quantized bases and 8-bit moments
                 load: a folder of seven billion parameters
                 serve: tokens a second of answers, next to llama.cpp (rowtune engine install --with llama.cpp)
                 preferences: DPO next to TRL with PEFT's LoRA, the reference included
                 true-size: a step of Llama-2-7B's and Llama-3-8B's sizes; needs 24 GB of memory
                 scale: N processes of one thread next to one of N (--threads N, at least 2)
                 scale-model: the cost model, from the results of scale, and simulated ranks and sweeps
                 gpu: whole models of 1.7 and 8 billion parameters through the PJRT engine; needs --device gpu
  --models M,…   of the frontier: ${MODELS.join(', ')} (default: all but gemma;
                 experts: a mixture of 32, each with rows or factors of its own)
  --accept-gemma-terms   the license of Gemma, which is shown, is accepted: needed for its download
  --dtype D,…    of the frontier: float32, bfloat16 (default: both)
  --brief        of the frontier: without the outer levels of other methods and torch.compile; of true-size: Llama-2-7B alone
  --layers N     of true-size: the first N layers of each model
  --jobs N       processes at a time, each on cores of its own (default 1)
  --resume       take up what an interrupted run of the same code has measured
  --threads 1,2  numbers of cores, measured one after the other (default 1,2; of parts one number, default 1)
  --steps N      measured steps of each process, after two to warm up (default 5)
  --device gpu   an NVIDIA GPU in place of the processor: the frontier there
  --quick        only LoRA and SPSFT; writes no files
  --memory       memory alone, predicted and measured: methods, levels and families, and the paper's figures; needs no Python
  --cards        memory on graphics cards that are not there, by their compiler and by the model of its buffers; needs no Python
  --only TEXT    of --memory: rows with this in model, engine or recipe; the results keep the others as they were
  --predict      of --memory: the predictions anew, next to what was measured before; needs no engine
  --json         one JSON object, last on stdout
The results go to bench/results/. ROWTUNE_PYTHON names a Python that has the packages of scripts/python-requirements.txt already.`;

/** Maximum number of threads; a larger value is a typing error. */
const MAX_THREADS = 256;
const MAX_STEPS = 1000;
const MAX_LAYERS = 1000;

function wholeNumber(text, most, option) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most)
    throw new Error(`${option} takes a whole number from 1 to ${most}, not '${text}'`);
  return value;
}

/** @returns {string[]} the names in the order of `known` */
function namesAmong(text, known, option) {
  const names = text.split(',');
  const wrong = names.find(name => !known.includes(name));
  if (wrong !== undefined) throw new Error(`${option} takes ${known.join(', ')}, not '${wrong}'`);
  return known.filter(name => names.includes(name));
}

function readArguments() {
  const flag = { type: 'boolean', default: false };
  const text = { type: 'string' };
  const { values } = parseArgs({
    options: {
      part: text,
      models: text,
      layers: text,
      dtype: text,
      brief: flag,
      'accept-gemma-terms': flag,
      jobs: { type: 'string', default: '1' },
      resume: flag,
      threads: text,
      steps: { type: 'string', default: '5' },
      device: { type: 'string', default: 'cpu' },
      quick: flag,
      memory: flag,
      cards: flag,
      only: text,
      predict: flag,
      json: flag,
      help: { ...flag, short: 'h' },
    },
  });
  if (!['cpu', 'gpu'].includes(values.device)) throw new Error(`--device takes cpu or gpu, not '${values.device}'`);
  const onGpu = values.device === 'gpu';
  const parts = values.part ? namesAmong(values.part, PARTS, '--part') : onGpu ? ['frontier'] : [];
  if (parts.includes('gpu') && !onGpu) throw new Error('--part gpu needs --device gpu');
  // On a GPU, the cores only feed it.
  const threads = (values.threads ?? (onGpu ? String(availableParallelism()) : parts.length > 0 ? '1' : '1,2'))
    .split(',')
    .map(one => wholeNumber(one, MAX_THREADS, '--threads'));
  const ofParts = ['models', 'layers', 'dtype', 'brief', 'resume'].find(name => values[name]);
  if (ofParts && parts.length === 0) throw new Error(`--${ofParts} goes with --part`);
  if (parts.length > 0 && (values.quick || values.memory || values.cards))
    throw new Error('--part goes with none of --quick, --memory and --cards');
  const ofMemory = ['only', 'predict'].find(name => values[name]);
  if (ofMemory && !values.memory) throw new Error(`--${ofMemory} goes with --memory`);
  if (parts.length > 0 && threads.length > 1) throw new Error('--part is measured on one number of --threads at a time');
  return {
    ...values,
    parts,
    models: values.models ? namesAmong(values.models, MODELS, '--models') : DEFAULT_MODELS,
    acceptsGemma: values['accept-gemma-terms'],
    precisions: values.dtype ? namesAmong(values.dtype, PRECISIONS, '--dtype') : PRECISIONS,
    layers: values.layers === undefined ? undefined : wholeNumber(values.layers, MAX_LAYERS, '--layers'),
    jobs: wholeNumber(values.jobs, MAX_THREADS, '--jobs'),
    steps: wholeNumber(values.steps, MAX_STEPS, '--steps'),
    threads,
  };
}

async function bundle() {
  const { build } = await import('esbuild');
  const outdir = path.join(root, 'dist', 'bench');
  const names = [
    'main',
    'parts',
    'step',
    'matmul',
    'memory/memory',
    'memory/memory-step',
    'memory/cards',
    'preferences/preference-step',
    'scale/scale-step',
    'serve/serve-step',
    'true-size/load-step',
    'true-size/true-size-step',
  ];
  await build({
    entryPoints: Object.fromEntries(names.map(name => [path.basename(name), path.join(root, 'bench', `${name}.ts`)])),
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

/** Returns the real weights, where they are available; undefined stands for random weights. */
async function sourcesOf(models, { cacheDir, acceptsGemma }) {
  const { ensureModel } = await import('./demo/model.mjs');
  const { ensureMiniLm } = await import('./demo/minilm.mjs');
  const { ensureGemma } = await import('./demo/gemma.mjs');
  const real = { smollm2: ensureModel, minilm: ensureMiniLm, gemma: folder => ensureGemma(folder, acceptsGemma) };
  const sources = {};
  for (const name of models) sources[name] = await real[name]?.(cacheDir);
  return sources;
}

/** Prepares everything that both sides need, then measures. @returns {Promise<boolean>} false if something could not be measured */
async function prepareAndRun(wanted) {
  ensurePackages();
  buildBundles();
  if (!wanted.predict && !ensureEngine()) throw new StepError('the benchmark measures the TensorFlow engine, which could not be installed');
  if (wanted.memory && !wanted.predict) ensurePjrt();
  const cacheDir = cacheFolder();
  const scripts = await bundle();
  const params = { ...wanted, root, cacheDir };
  if (wanted.cards) return (await import(path.join(scripts, 'cards.mjs'))).runCardsBench(params);
  if (wanted.memory) return (await import(path.join(scripts, 'memory.mjs'))).runMemoryBench(params);
  const bench = await import(path.join(scripts, 'main.mjs'));
  await bench.checkMachine(wanted.device);
  const models = wanted.parts.includes('frontier') ? wanted.models : ['smollm2'];
  const sources = await sourcesOf(wanted.parts.length > 0 ? [...new Set([...models, 'smollm2'])] : models, params);
  const python = ensurePython({ cacheDir, log: say });
  if (wanted.parts.length === 0) return bench.runBench({ ...params, sources, python });
  const { ensureTextData } = await import('./demo/text-data.mjs');
  const texts = ensureTextData(path.join(cacheDir, 'demo', 'text'));
  const trlPython = wanted.parts.includes('preferences') ? ensurePython({ cacheDir, set: 'preferences', log: say }) : undefined;
  return (await import(path.join(scripts, 'parts.mjs'))).runParts({
    ...params,
    sources,
    python,
    trlPython,
    texts,
    threads: wanted.threads[0],
  });
}

process.exitCode = await runScript({ name: 'bench', help: HELP, readOptions: readArguments, run: prepareAndRun });
