/**
 * Compares several processes with several threads: the same batches of SmolLM2-135M in one process of N threads, and in N processes of one
 * thread, through shared memory and through this machine's network. Also measures exchanges alone, from which docs/explanation/scale.md
 * takes latency and bandwidth.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { installMpi } from '../../trainer/engine/install/install-mpi.ts';
import { findMpi } from '../../trainer/engine/mpi/find-mpi.ts';
import { WORKER_FLAGS, workerEnvironment } from '../../trainer/engine/tensorflow/environment.ts';
import { lastOf, required } from '../../trainer/narrow.ts';
import { RUN_FILES } from '../../trainer/protocol/run/run-files.ts';
import type { RanksView } from '../../trainer/protocol/view/run.ts';
import { readMetrics } from '../../trainer/run/metrics-file.ts';
import { benchModels, LORA_RANK } from '../bench-models.ts';
import { codeHash, log, MeasurementStore } from '../measurements.ts';
import type { PartContext } from '../part.ts';
import { type Facts, factLines, table } from '../report.ts';
import { coresFor, median, runPinned } from '../run-side.ts';
import type { ExchangeTime, ScaleStepRequest } from './scale-step.ts';
import { fitNetwork } from './step-time.ts';

/** How processes communicate. */
type Route = 'shared memory' | 'TCP';
/** Makes MPICH use the network even between processes of one machine. */
const OVER_NETWORK = ['-env', 'MPIR_CVAR_NOLOCAL', '1'];

export const METHODS = [
  { name: `SPSFT r${benchModels.smollm2.rows}`, settings: { method: 'spsft', r: benchModels.smollm2.rows } },
  { name: `LoRA r${LORA_RANK}`, settings: { method: 'lora', r: LORA_RANK, lora_dropout: 0 } },
  { name: 'full', settings: { method: 'full', learning_rate: 1e-5 } },
] as const;
/** How often each configuration is measured, in turn with the others; once with --brief. */
const ROUNDS = 3;
export const TOKENS = 256;
/** Number of elements in a sum: from one to a group of full tuning. */
const COUNTS = [1, 1000, 10_000, 100_000, 1_000_000, 5_000_000];
const REPETITIONS = 20;

export interface ScaleRow {
  readonly method: string;
  readonly processes: number;
  readonly threadsEach: number;
  /** Rows of each process's batch. */
  readonly batchEach: number;
  /** Undefined for a single process. */
  readonly route?: Route;
  readonly secondsPerStep: number;
  /** The last loss; equal batches give equal losses. */
  readonly loss: number;
  /** Bytes that each rank contributes per update. */
  readonly bytesPerStep: number;
  /** Seconds per update during which exchanges are in progress, on the rank with the most. */
  readonly exchangeSeconds: number;
  /** Seconds per update that the program waits for exchanges, on the rank with the least, because the others also wait for it. */
  readonly waitedSeconds: number;
  /** Peak memory of each process. */
  readonly peakBytes: number;
}

export interface ScaleResults {
  readonly facts: Facts;
  readonly threads: number;
  readonly steps: number;
  readonly rounds: number;
  readonly rows: readonly ScaleRow[];
  readonly exchanges: Readonly<Record<Route, readonly ExchangeTime[]>>;
}

interface Planned extends Pick<ScaleRow, 'processes' | 'threadsEach' | 'batchEach' | 'route'> {
  readonly method: (typeof METHODS)[number];
}

/**
 * Plans the measurements. With twice as many processes as cores, two share a core. The cost model starts from a single process with the
 * batch of one of several.
 */
export const scalePlan = (cores: number): Planned[] =>
  METHODS.flatMap((method): Planned[] => [
    { method, processes: 1, threadsEach: cores, batchEach: cores },
    { method, processes: cores, threadsEach: 1, batchEach: 1, route: 'shared memory' },
    { method, processes: cores, threadsEach: 1, batchEach: 1, route: 'TCP' },
    { method, processes: 1, threadsEach: 1, batchEach: 1 },
    { method, processes: 2 * cores, threadsEach: 1, batchEach: 1, route: 'TCP' },
  ]);

/** Measures the updates of the second metrics line; those of the first are the warm-up. */
const recipeOf = ({ sources, texts, steps }: PartContext): string => `model: ${JSON.stringify(sources.smollm2)}
data: { train: ${JSON.stringify(texts)}, format: text }
max_length: ${TOKENS}
packing: true
max_steps: ${2 * steps}
logging_steps: ${steps}
lr_scheduler_type: constant
recompute: cheap
save_strategy: 'no'
engine: tensorflow
dtype: float32
`;

interface Launch {
  readonly context: PartContext;
  readonly folder: string;
  readonly cores: readonly number[];
}

async function runCase({ context, folder, cores }: Launch, planned: Planned): Promise<ScaleRow> {
  const { method, processes, threadsEach, batchEach, route } = planned;
  const runDir = path.join(folder, 'run');
  const settings = {
    ...method.settings,
    output_dir: runDir,
    overwrite_output_dir: true,
    per_device_train_batch_size: batchEach,
    threads: threadsEach,
    ...(route === 'shared memory' && { processes }),
  };
  const command = [process.execPath, path.join(context.root, 'bin', 'rowtune.mjs'), 'train', path.join(folder, 'recipe.yaml'), '--json'];
  const launcher = route === 'TCP' ? [findMpi(context.cacheDir, process.env).launcher, '-n', String(processes), ...OVER_NETWORK] : [];
  await runPinned(
    [...launcher, ...command, '--no-daemon', ...Object.entries(settings).map(([key, value]) => `${key}=${value}`)],
    cores,
    {},
  );
  const line = lastOf((await readMetrics(runDir)).filter(({ loss }) => loss !== undefined));
  const facts = {
    method: method.name,
    processes,
    threadsEach,
    batchEach,
    route,
    secondsPerStep: line.seconds ?? Number.NaN,
    loss: line.loss ?? Number.NaN,
  };
  if (processes === 1) return { ...facts, bytesPerStep: 0, exchangeSeconds: 0, waitedSeconds: 0, peakBytes: line.memory_peak_bytes ?? 0 };
  const { ranks }: RanksView = JSON.parse(await readFile(path.join(runDir, RUN_FILES.byRank), 'utf8'));
  return {
    ...facts,
    bytesPerStep: Math.max(...ranks.map(rank => rank.bytesPerUpdate)),
    exchangeSeconds: Math.max(...ranks.map(rank => rank.exchangeSeconds)),
    waitedSeconds: Math.min(...ranks.map(rank => rank.waitedSeconds)),
    peakBytes: Math.max(...ranks.map(rank => rank.peakBytes)),
  };
}

async function measureExchanges({ context, cores }: Launch, processes: number, route: Route): Promise<readonly ExchangeTime[]> {
  const { launcher, library } = findMpi(context.cacheDir, process.env);
  const request: ScaleStepRequest = { cacheDir: context.cacheDir, library, counts: COUNTS, repetitions: REPETITIONS };
  const script = [process.execPath, ...WORKER_FLAGS, path.join(context.sides.scripts, 'scale-step.mjs'), JSON.stringify(request)];
  const command = [launcher, '-n', String(processes), ...(route === 'TCP' ? OVER_NETWORK : []), ...script];
  // The JSON line of scale-step.ts.
  const found = (await runPinned(command, cores, workerEnvironment({ threads: 1 }))) as { readonly exchanges: readonly ExchangeTime[] };
  return found.exchanges;
}

/** @returns false if the processes did not reproduce the losses of a single one */
export async function runScale(context: PartContext): Promise<boolean> {
  const { threads, steps, facts, cacheDir, results, brief } = context;
  const rounds = brief ? 1 : ROUNDS;
  const processes = Math.max(2, threads);
  const folder = path.join(cacheDir, 'bench', 'scale');
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'recipe.yaml'), recipeOf(context));
  await installMpi({ cacheDir, log });
  const launch = { context, folder, cores: coresFor(processes) };
  const plan = scalePlan(processes);
  const store = new MeasurementStore<ScaleRow>(path.join(folder, 'measured.jsonl'), context.resume);
  const code = codeHash(path.join(context.root, 'dist', 'worker.js'));
  const found: ScaleRow[][] = plan.map(() => []);
  for (let round = 0; round < rounds; round++)
    for (const [i, planned] of plan.entries()) {
      const key = JSON.stringify({ ...planned, steps, round, code });
      const kept = store.find(key);
      const row = kept ?? (await runCase(launch, planned));
      if (!kept) store.keep(key, row);
      required(found[i], 'a row').push(row);
      const waits = (1000 * row.waitedSeconds).toFixed(1);
      log(`${rowName(row)}: ${row.secondsPerStep.toFixed(3)} s/step, waits ${waits} ms${kept ? '  kept' : ''}`);
    }
  const exchanges = {
    'shared memory': await measureExchanges(launch, processes, 'shared memory'),
    TCP: await measureExchanges(launch, processes, 'TCP'),
  };
  const rows = found.map(medianRow);
  const all: ScaleResults = { facts, threads: processes, steps, rounds, rows, exchanges };
  await writeFile(path.join(results, 'scale.md'), scaleMarkdown(all));
  await writeFile(path.join(results, 'scale.json'), `${JSON.stringify(all, null, 2)}\n`);
  log('wrote scale.md and .json');
  return rows.filter(row => isWhole(row, processes)).every(row => Math.abs(row.loss - singleOf(row, rows).loss) < 1e-3 * row.loss);
}

/** The repetition with the median time. */
function medianRow(repetitions: readonly ScaleRow[]): ScaleRow {
  const middle = median(repetitions.map(({ secondsPerStep }) => secondsPerStep));
  const [nearest] = [...repetitions].sort((a, b) => Math.abs(a.secondsPerStep - middle) - Math.abs(b.secondsPerStep - middle));
  return required(nearest, 'a repetition');
}

/** True if all processes together have the same batch as one process with all cores. */
const isWhole = ({ processes, batchEach }: ScaleRow, cores: number): boolean => processes * batchEach === cores;

/** The row of one process with all cores. */
const singleOf = ({ method }: ScaleRow, rows: readonly ScaleRow[]): ScaleRow =>
  required(
    rows.find(row => row.method === method && row.processes === 1 && row.batchEach > 1),
    'a row of one process',
  );

export const rowName = ({ method, processes, threadsEach, batchEach, route }: ScaleRow): string =>
  `${method}, ${processes === 1 ? 'one process' : `${processes} processes`} of ${threadsEach}${route ? `, ${route}` : ''}, ${processes * batchEach} rows`;

const milliseconds = (seconds: number): string => (1000 * seconds).toFixed(seconds < 0.01 ? 2 : 1);
const percent = (share: number): string => (Number.isFinite(share) ? `${(100 * share).toFixed(1)}%` : '–');

export function scaleMarkdown({ facts, threads, steps, rounds, rows, exchanges }: ScaleResults): string {
  const lines = rows.map(row => [
    rowName(row),
    row.secondsPerStep.toFixed(3),
    (row.secondsPerStep / singleOf(row, rows).secondsPerStep).toFixed(2),
    row.processes === 1 ? '–' : (row.bytesPerStep / 1e6).toFixed(1),
    row.processes === 1 ? '–' : milliseconds(row.exchangeSeconds),
    row.processes === 1 ? '–' : milliseconds(row.waitedSeconds),
    row.processes === 1 ? '–' : percent(row.waitedSeconds / row.secondsPerStep),
    row.processes === 1 ? '–' : percent(1 - row.waitedSeconds / row.exchangeSeconds),
    (row.peakBytes / 1e6).toFixed(0),
    row.loss.toFixed(4),
  ]);
  const header = [
    '',
    's/step',
    'of one process',
    'MB given',
    'exchange, ms',
    'waited, ms',
    'waited, of a step',
    'hidden',
    'peak, MB each',
    'loss',
  ];
  const alone = (['shared memory', 'TCP'] as const).map(route => {
    const fit = fitNetwork(
      exchanges[route].map(({ bytes, seconds }) => [bytes, seconds]),
      threads,
    );
    const times = exchanges[route].map(({ seconds }) => milliseconds(seconds));
    return [route, ...times, (1e6 * fit.latencySeconds).toFixed(0), (fit.bytesPerSecond / 1e9).toFixed(2)];
  });
  const sizes = exchanges.TCP.map(({ bytes }) => `${(bytes / 1e3).toFixed(bytes < 1e4 ? 3 : 0)} kB`);
  return `# Several processes

Written by \`npm run bench -- --part scale\`: SmolLM2-135M, rows of ${TOKENS} tokens, float32, on ${threads} cores. A number is the mean
of ${steps} updates, ${rounds === 1 ? 'measured once' : `in the repetition of ${rounds} with the median time`}. "Waited" is the time of the rank that waited least in which its program waits for
exchanges, "exchange" the time in which some are on their way; the rest is hidden behind the backward pass. TCP goes
through the loopback device (\`MPIR_CVAR_NOLOCAL=1\`). With ${2 * threads} processes, two share a core.

${factLines(facts)}

${table(header, lines)}

## Exchanges alone

Milliseconds of one sum over ${threads} ranks by the bytes that each gives, and what explains them: microseconds of latency, GB/s that a rank sends.

${table(['', ...sizes, 'latency, µs', 'GB/s'], alone)}
`;
}
