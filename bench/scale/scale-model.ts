/**
 * The cost model of several processes. It is fitted to the measurements of `--part scale`, compared with them, and extrapolated to more
 * ranks and larger models, with the programs, batches and schedules of real runs and modeled times.
 */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Node } from '../../trainer/graph/graph.ts';
import { nodesFlops } from '../../trainer/graph/liveness.ts';
import { required } from '../../trainer/narrow.ts';
import { headersOf } from '../../trainer/plan/config-headers.ts';
import { planRun, type RunPlan } from '../../trainer/plan/run-plan.ts';
import { grouped, percent } from '../../trainer/protocol/text/format.ts';
import { log } from '../measurements.ts';
import { type Config, paperModels, smolLm2 } from '../memory/memory-models.ts';
import type { PartContext } from '../part.ts';
import { benchRecipe } from '../recipe.ts';
import { table } from '../report.ts';
import { METHODS, rowName, type ScaleResults, type ScaleRow, TOKENS } from './scale.ts';
import { planInRanks } from './sharding.ts';
import { fitNetwork, type Network, simulateStep } from './step-time.ts';
import { simulateSweep } from './sweep-time.ts';

const LARGE = {
  'Llama-3-8B': paperModels['Llama-3-8B'],
  'Llama-3-70B': paperModels['Llama-3-70B'],
} as const satisfies Readonly<Record<string, Config>>;
const LARGE_METHODS = {
  'SPSFT r 128': 'method: spsft\nr: 128\n',
  'LoRA r 64': 'method: lora\nr: 64\nlora_dropout: 0\n',
  full: 'method: full\n',
} as const;
const LARGE_TOKENS = 2048;
const RANKS = [8, 64, 1024] as const;

/** Assumed, not measured: two fifths of the dense bfloat16 peak of an H100 (989 TFLOP/s). */
const CARD_FLOPS = 400e12;
/** Assumed, not measured. */
const NETWORKS: Readonly<Record<string, Network>> = {
  '400 Gbit/s': { latencySeconds: 3e-6, bytesPerSecond: 50e9 },
  '100 Gbit/s': { latencySeconds: 5e-6, bytesPerSecond: 12.5e9 },
  '10 Gbit/s': { latencySeconds: 20e-6, bytesPerSecond: 1.25e9 },
};
/** Bytes per gradient element during an exchange. */
const WIDTH = 4;

const SWEEP = { runs: 10_000, reductionFactor: 3, minEvaluations: 1, evaluations: 81, seed: 1 } as const;
const SWEEP_WORKERS = [
  { workers: 1, order: { ahead: 1 } },
  { workers: 64, order: { ahead: 64 } },
  { workers: 256, order: { ahead: 256 } },
  { workers: 256, order: { ahead: 4096 } },
  { workers: 64, order: 'arrival' },
  { workers: 256, order: 'arrival' },
] as const;
const SHARDING = { ranks: 1024, samples: 10_000, batchSize: 2, seed: 1 } as const;

/** The nodes of a training step in schedule order, including the sums of a run of several processes. */
export function scheduleOf(config: Config, lines: string): readonly Node[] {
  const plan: RunPlan = planRun({
    recipe: benchRecipe(`processes: 2\nper_device_train_batch_size: 1\n${lines}`),
    headers: headersOf(config),
    on: { engine: 'tensorflow', device: 'cpu' },
  });
  const pass = required(plan.passesOf(required(plan.trainShapes[0], 'a shape'))[0], 'a signature that trains');
  return plan.trainPass(pass, plan.recompute === 'auto' ? 'cheap' : plan.recompute).signature.schedule;
}

/** @returns true; the file says which comparisons are missing */
export async function writeScaleModel({ results }: PartContext): Promise<boolean> {
  const measured: ScaleResults = JSON.parse(await readFile(path.join(results, 'scale.json'), 'utf8'));
  await writeFile(path.join(results, 'scale-model.md'), scaleModelMarkdown(measured));
  log('wrote scale-model.md');
  return true;
}

const networkOf = ({ exchanges, threads }: ScaleResults, route: NonNullable<ScaleRow['route']>): Network =>
  fitNetwork(
    exchanges[route].map(({ bytes, seconds }) => [bytes, seconds]),
    threads,
  );

/** Returns one line per measurement of several processes for which the single process was measured, too. */
function comparison(measured: ScaleResults): string[][] {
  const { rows, threads } = measured;
  return METHODS.flatMap(({ name, settings }) => {
    const alone = rows.find(row => row.method === name && row.processes === 1 && row.batchEach === 1);
    if (!alone) return [];
    const lines = Object.entries(settings).map(([key, value]) => `${key}: ${value}\n`);
    const schedule = scheduleOf(smolLm2, `${lines.join('')}max_length: ${TOKENS}\nrecompute: cheap\n`);
    return rows.flatMap((row): string[][] => {
      if (row.method !== name || row.route === undefined) return [];
      // If two processes share a core, each has half of it.
      const share = Math.min(1, threads / row.processes);
      const flopsPerSecond = (share * nodesFlops(schedule)) / alone.secondsPerStep;
      const found = simulateStep(schedule, { ranks: row.processes, network: networkOf(measured, row.route), flopsPerSecond });
      return [
        [
          rowName(row),
          (found.bytes / 1e6).toFixed(1),
          (row.bytesPerStep / 1e6).toFixed(1),
          found.seconds.toFixed(3),
          row.secondsPerStep.toFixed(3),
          percent(found.seconds / row.secondsPerStep - 1),
        ],
      ];
    });
  });
}

interface LargeCase {
  readonly name: string;
  readonly schedule: readonly Node[];
}

const largeCases = (): LargeCase[] =>
  Object.entries(LARGE).flatMap(([model, config]) =>
    Object.entries(LARGE_METHODS).map(([method, lines]) => ({
      name: `${model}, ${method}`,
      schedule: scheduleOf(config, `${lines}max_length: ${LARGE_TOKENS}\nrecompute: block\n`),
    })),
  );

const bytesTable = (cases: readonly LargeCase[]): string =>
  table(
    ['', 'million numbers', 'sums', 'GB in float32', 'TFLOP'],
    cases.map(({ name, schedule }) => {
      const { bytes, sums } = simulateStep(schedule, {
        ranks: 1,
        network: required(NETWORKS['100 Gbit/s'], 'a network'),
        flopsPerSecond: 1,
      });
      return [name, (bytes / WIDTH / 1e6).toFixed(1), String(sums), (bytes / 1e9).toFixed(2), (nodesFlops(schedule) / 1e12).toFixed(1)];
    }),
  );

const efficiencyTable = (cases: readonly LargeCase[]): string =>
  table(
    ['', ...Object.keys(NETWORKS).flatMap(name => RANKS.map(ranks => `${name}, ${ranks}`))],
    cases.map(({ name, schedule }) => [
      name,
      ...Object.values(NETWORKS).flatMap(network =>
        RANKS.map(ranks => {
          const { seconds, computeSeconds } = simulateStep(schedule, { ranks, network, flopsPerSecond: CARD_FLOPS });
          return `${seconds.toFixed(2)} s, ${percent(computeSeconds / seconds)}`;
        }),
      ),
    ]),
  );

const sweepTable = (): string =>
  table(
    ['workers', 'order of decisions', 'parts of runs', 'evaluations', 'of all', 'time', 'workers busy', 'place of the best'],
    SWEEP_WORKERS.map(one => {
      const { segments, evaluations, time, busy, winnerPlace } = simulateSweep({ ...SWEEP, ...one });
      const all = SWEEP.runs * SWEEP.evaluations;
      const order = one.order === 'arrival' ? 'arrival of results' : `fixed, ${grouped(one.order.ahead)} ahead`;
      const numbers = [grouped(segments), grouped(evaluations), percent(evaluations / all)];
      return [String(one.workers), order, ...numbers, time.toFixed(0), percent(busy), grouped(winnerPlace)];
    }),
  );

export function scaleModelMarkdown(measured: ScaleResults): string {
  const cases = largeCases();
  const compared = comparison(measured);
  const missing =
    'The measurements have no process alone with the batch of one of several: run `npm run bench -- --part scale --threads 2`.';
  const header = ['', 'MB, predicted', 'MB, measured', 's/step, predicted', 's/step, measured', 'difference'];
  const fits = Object.entries({ 'shared memory': networkOf(measured, 'shared memory'), TCP: networkOf(measured, 'TCP') }).map(
    ([route, { latencySeconds, bytesPerSecond }]) => [route, (1e6 * latencySeconds).toFixed(0), (bytesPerSecond / 1e9).toFixed(2)],
  );
  const { ranks, samples, batches, shapes, planSeconds } = planInRanks(SHARDING);
  return `# The cost of several processes, by a model

Written by \`npm run bench -- --part scale-model\` from [scale.json](scale.json), which \`--part scale\` measures.
[Several processes and scale](../../docs/explanation/scale.md) explains the model. A step is simulated by the program that
ranks run: each operation takes its arithmetic at a fixed rate, a sum begins and is waited for where the program does it,
and sums use the connection one after the other.

## Fitted on this machine

Sums over ${measured.threads} ranks, by their relative errors.

${table(['', 'latency, µs', 'GB/s'], fits)}

## Compared with measurements

Predicted from one process alone with the same batch, and from sums alone. Two processes that share a core are taken to
have half of it each.

${compared.length === 0 ? missing : table(header, compared)}

## Gradients of an update

${LARGE_TOKENS} tokens per rank, blocks recomputed. From the programs of whole models; nothing was run.

${bytesTable(cases)}

## Steps on many ranks

Seconds of a step, and the share of it in which a rank computes. **Assumed, not measured**: ${CARD_FLOPS / 1e12} TFLOP/s per rank
(two fifths of an H100's peak), and networks with ${Object.values(NETWORKS)
    .map(({ latencySeconds }) => Math.round(1e6 * latencySeconds))
    .join(', ')} µs of latency. All ranks are equally fast.

${efficiencyTable(cases)}

## Batches of ${grouped(ranks)} ranks

${grouped(ranks)} ranks × ${SHARDING.batchSize} rows, ${grouped(samples)} samples of 16 to 512 tokens: every sample is in one batch of one rank, all ranks have the
same ${shapes} shapes in the same order, and an epoch has ${batches} batches. A rank plans an epoch in ${planSeconds.toFixed(3)} s.

## A sweep of ${grouped(SWEEP.runs)} runs

Successive halving (η = ${SWEEP.reductionFactor}, ${SWEEP.evaluations} evaluations in a whole run) with losses and speeds by a formula. In a fixed order, as
on one machine, a decision uses the results of all but so many decisions before it. Several workers decide by the results that
have arrived. Time is in evaluations of a run of mean speed.

${sweepTable()}
`;
}
