/** The command of the GPU kit: installs the plugin that is on the machine, checks it, measures, and writes the results. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { pjrtPlugins, pjrtVariants } from '../../trainer/engine/install/pjrt-plugins.ts';
import { runCommand } from '../../trainer/engine/install/run-command.ts';
import { WORKER_FLAGS, workerEnvironment } from '../../trainer/engine/tensorflow/environment.ts';
import type { Device } from '../device.ts';
import { checkMachine, gatherFacts, openSides } from '../main.ts';
import { log, MeasurementStore } from '../measurements.ts';
import { BenchError } from '../run-side.ts';
import { runGpu } from './gpu.ts';
import { GPU_MODELS } from './gpu-plan.ts';
import type { SmokeRequest, SmokeResults } from './smoke.ts';

const HELP = `./run [options]
Checks the PJRT engine on this machine's GPU and measures it next to PyTorch + PEFT. Needs g++, python3 with the wheels of
jax-cuda13-pjrt and its libraries, and for the other side torch, transformers and peft. Uses no network.
  --minutes N      ends after about so long (default 8); what is left out is named in the results
  --resume         measure what an earlier run of this kit left out
  --plugin FILE    the PJRT plugin (default: the one for CUDA among Python's packages)
  --python FILE    the Python of the other side (default: ROWTUNE_PYTHON, or python3)
  --out FOLDER     where the results go (default: bench/results in the kit)
  --device cpu     compute on the processor, with a plugin for it: a trial of the kit, which says nothing of a GPU
  --tiny           a tiny model and one case of each operation: a trial of the kit`;

/** Share of the time after which no check starts. */
const CHECKS_SHARE = 0.3;
/** Share of the time after which running checks are ended. */
const MAX_CHECKS_SHARE = 0.45;
const MAX_MINUTES = 24 * 60;

/** The kit's folder; this file is `dist/bench/kit.mjs` in it. */
const root = path.resolve(import.meta.dirname, '..', '..');
const cacheDir = path.join(root, 'cache');

interface Wanted {
  readonly device: Device;
  readonly isTiny: boolean;
  readonly minutes: number;
  readonly resume: boolean;
  readonly plugin: string | undefined;
  readonly python: string;
  readonly out: string;
}

class UsageError extends Error {
  override name = 'UsageError';
}

function wantedOf(args: readonly string[]): Wanted | undefined {
  const flag = { type: 'boolean', default: false } as const;
  const text = { type: 'string' } as const;
  const options = { minutes: text, resume: flag, plugin: text, python: text, out: text, device: text, tiny: flag, help: flag };
  const { values } = parse(() => parseArgs({ args: [...args], options }));
  if (values.help) return undefined;
  const minutes = Number(values.minutes ?? 8);
  if (!(minutes > 0 && minutes <= MAX_MINUTES))
    throw new UsageError(`--minutes takes a number up to ${MAX_MINUTES}, not '${values.minutes}'`);
  const { device = 'gpu' } = values;
  if (device !== 'gpu' && device !== 'cpu') throw new UsageError(`--device takes gpu or cpu, not '${device}'`);
  return {
    ...{ device, minutes, isTiny: values.tiny, resume: values.resume },
    plugin: values.plugin && path.resolve(values.plugin),
    python: values.python ?? process.env.ROWTUNE_PYTHON ?? 'python3',
    out: path.resolve(values.out ?? path.join(root, 'bench', 'results')),
  };
}

function parse<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Finds the first plugin for NVIDIA GPUs among Python's packages. @throws BenchError with the places that were searched */
async function findPlugin(python: string): Promise<string> {
  const files = pjrtVariants.map(variant => pjrtPlugins[variant]).flatMap(({ device, library }) => (device === 'nvidia' ? [library] : []));
  const script = `import os, sys
found = [os.path.join(folder, file) for file in sys.argv[1:] for folder in sys.path if os.path.exists(os.path.join(folder, file))]
print(found[0] if found else '')`;
  const { status, output } = await runCommand(python, ['-c', script, ...files]);
  if (status !== 0) throw new BenchError(`${python} does not run: ${output.trim()}`);
  const found = output.trim();
  if (found === '') throw new BenchError(`among the packages of ${python} is no ${files.join(' or ')}; name the plugin with --plugin FILE`);
  return found;
}

/** Compiles the addon and loads the plugin. @throws BenchError with the installer's output */
async function install(plugin: string): Promise<void> {
  const { status, output } = await runCommand(
    process.execPath,
    [path.join(root, 'bin', 'rowtune.mjs'), 'engine', 'install', '--no-images', '--plugin', plugin],
    { env: { ROWTUNE_CACHE: cacheDir } },
  );
  log(output.trim());
  if (status !== 0) throw new BenchError(`the plugin could not be installed: ${output.trim().slice(-1000)}`);
}

/** Returns the Python of PyTorch's side; logs the reason and returns undefined if a package is missing. */
async function findPeer(python: string): Promise<string | undefined> {
  const { status, output } = await runCommand(python, ['-c', 'import torch, transformers, peft']);
  if (status === 0) return python;
  log(`the other side is not measured: ${output.trim().split('\n').at(-1)}`);
  return undefined;
}

const goldenFolders = (isTiny: boolean): Promise<string[]> =>
  readFile(path.join(root, 'test', 'golden', 'folders.json'), 'utf8').then(text => {
    const names: readonly string[] = JSON.parse(text);
    return (isTiny ? names.slice(0, 1) : names).map(name => path.join(root, 'test', 'golden', name));
  });

interface Checked extends Partial<SmokeResults> {
  /** Why the process ended early. */
  readonly problem?: string;
}

/**
 * Returns the results of checks, from an earlier run of this kit if it resumes. The checks run in their own process, because a program for
 * the device may crash or hang it.
 * @param until when no further check starts @param end when the process is ended, both in milliseconds since 1970
 */
async function check({ device, isTiny, resume }: Wanted, until: number, end: number): Promise<Checked> {
  const file = path.join(cacheDir, `checks-${device}.json`);
  const kept = resume ? await readFile(file, 'utf8').catch(() => undefined) : undefined;
  if (kept !== undefined) return JSON.parse(kept);
  const jobs = availableParallelism();
  const request: SmokeRequest = { cacheDir, device, goldens: await goldenFolders(isTiny), isBrief: isTiny, jobs, until };
  let line: string | undefined;
  const script = path.join(import.meta.dirname, 'smoke.mjs');
  const { status, output } = await runCommand(process.execPath, [...WORKER_FLAGS, script, JSON.stringify(request)], {
    env: { ...workerEnvironment({ threads: jobs }), UV_THREADPOOL_SIZE: String(jobs) },
    timeoutMs: end - Date.now(),
    onLine: text => {
      if (text.startsWith('{')) line = text;
    },
  });
  const found: SmokeResults | undefined = line === undefined ? undefined : JSON.parse(line);
  if (status === 0 && line !== undefined) await writeFile(file, line);
  return status === 0 ? { ...found } : { ...found, problem: `the checks ended with status ${status}: ${output.trim().slice(-1000)}` };
}

/** @returns true if everything that ran passed */
async function runKit(wanted: Wanted): Promise<boolean> {
  const { device, isTiny, minutes, resume, out } = wanted;
  const started = Date.now();
  const end = (share: number): number => started + share * minutes * 60_000;
  await checkMachine(device);
  await mkdir(cacheDir, { recursive: true });
  await install(wanted.plugin ?? (await findPlugin(wanted.python)));
  log('checking operations and model folders');
  const { operations, goldens, attention, engine, problem } = await check(wanted, end(CHECKS_SHARE), end(MAX_CHECKS_SHARE));
  const parts = { operations, 'model folders': goldens, attention };
  for (const [name, part] of Object.entries(parts)) {
    if (!part) continue;
    for (const reason of part.failed) log(`  failed: ${reason}`);
    log(`${name}: ${part.passed} passed, ${part.failed.length} failed, ${part.left} left out`);
  }
  if (problem !== undefined) log(problem);
  const sides = await openSides({ device, cacheDir, python: await findPeer(wanted.python), sources: {}, root });
  const isWhole = await runGpu({
    sides,
    facts: await gatherFacts(sides, engine === undefined ? {} : { engine }),
    store: new MeasurementStore(path.join(cacheDir, 'bench', 'measured.jsonl'), resume),
    steps: isTiny ? 1 : 5,
    threads: availableParallelism(),
    cacheDir,
    results: out,
    models: isTiny ? ['tiny'] : GPU_MODELS,
    isBrief: isTiny,
    checks: { operations, goldens, attention },
    problems: problem === undefined ? [] : [problem],
    until: end(1),
  });
  return isWhole && [operations, goldens].every(part => part?.failed.length === 0);
}

try {
  const wanted = wantedOf(process.argv.slice(2));
  if (wanted === undefined) console.log(HELP);
  else process.exitCode = (await runKit(wanted)) ? 0 : 1;
} catch (error) {
  const isUsage = error instanceof UsageError;
  log(`gpu-kit: ${error instanceof Error ? error.message : String(error)}${isUsage ? `\n${HELP}` : ''}`);
  process.exitCode = isUsage ? 2 : 1;
}
