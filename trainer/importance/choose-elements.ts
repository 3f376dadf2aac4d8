/** Chooses the single elements that rosa trains: those with the largest squared gradient, summed over samples (Nikdan et al. 2024). */

import { filledBatches } from '../data/batch/batches.ts';
import type { Session, VariableData } from '../engine/engine.ts';
import { backward } from '../graph/gradient.ts';
import { Graph, type Node, type Parts, type VariableSpec } from '../graph/graph.ts';
import { assemble, type Program, type Traced } from '../graph/program.ts';
import { float32Of } from '../graph/types.ts';
import type { WeightCoder } from '../graph/weight-coder.ts';
import type { ModuleSpec } from '../model/module-specs.ts';
import { Tracer } from '../model/tracer.ts';
import type { WeightSource } from '../model/weight-source.ts';
import { valueFor } from '../narrow.ts';
import type { Selection } from '../selection.ts';
import { type BatchShape, shapeName } from '../train/task.ts';
import { heldWeight, heldWeights } from './held-weights.ts';
import { ImportanceError } from './importance-error.ts';
import { type ImportanceData, ownBatches, sweepsOf } from './score-model.ts';
import { sumsByModule } from './sums-by-module.ts';

export interface ChooseElementsParams {
  readonly modules: readonly ModuleSpec[];
  readonly weights: WeightSource;
  /** Returns the number of elements to choose in a module's weight. */
  readonly budgetOf: (module: ModuleSpec) => number;
  readonly data: ImportanceData;
  readonly onProgress?: (done: number, total: number, unit: 'batches') => void;
  /** Checked between batches. */
  readonly isCanceled?: () => boolean;
}

/**
 * Passes over the data once for each group of modules whose sums fit into `data.sweepBytes`; no gradient of other modules is computed.
 * @returns module name → flat indices into its weight, ascending
 * @throws ImportanceError if it was canceled
 */
export async function chooseElements(params: ChooseElementsParams): Promise<Selection> {
  const { data, modules, weights } = params;
  const { source, engine, ranks } = data;
  const sweeps = sweepsOf(modules, data.sweepBytes);
  const session = await engine.compile({ ...gradientProgram(data, sweeps), places: data.hosted });
  try {
    await session.load(startValues(data, weights, sweeps, session.coder));
    const chosen = new Map<string, Int32Array>();
    const targets = source.plan.rows.reduce((sum, row) => sum + row.targets, 0);
    const total = sweeps.length * source.plan.batchesPerEpoch;
    let done = 0;
    for (const [i, sweep] of sweeps.entries()) {
      for await (const batch of filledBatches(source, ownBatches(source.plan.epoch(0), ranks))) {
        checkCanceled(params);
        await session.run(sumSignature(batch.bucket, i), batch.feeds(targets));
        done += ranks?.size ?? 1;
        params.onProgress?.(Math.min(done, total), total, 'batches');
      }
      // Either all processes follow a stop request or none, because sums wait for all.
      checkCanceled(params);
      if (ranks) await session.run(totalSignature(i), {});
      await readSweep(session, sweep, params, chosen);
      await session.run(clearSignature(i), {});
    }
    return new Map(modules.map(({ name }) => [name, valueFor(chosen, name)]));
  } finally {
    await session.dispose();
  }
}

async function readSweep(
  session: Session,
  sweep: readonly ModuleSpec[],
  { budgetOf }: ChooseElementsParams,
  chosen: Map<string, Int32Array>,
): Promise<void> {
  for (const [module, sum] of sumsOf(sweep)) chosen.set(module.name, largest(float32Of(await session.read(sum.name)), budgetOf(module)));
}

const sumSignature = (shape: BatchShape, sweep: number): string => `sum/${sweep}/${shapeName(shape)}`;
const clearSignature = (sweep: number): string => `clear/${sweep}`;
/** The signature that sums the sums of all processes. */
const totalSignature = (sweep: number): string => `total/${sweep}`;

const sumsOf = (sweep: readonly ModuleSpec[]): Map<ModuleSpec, VariableSpec> => sumsByModule('squared gradient', sweep);

async function* startValues(
  { task, storage }: ImportanceData,
  weights: WeightSource,
  sweeps: readonly (readonly ModuleSpec[])[],
  coder: WeightCoder | undefined,
): AsyncGenerator<VariableData> {
  yield* heldWeights(task.model, weights, storage, coder);
  for (const name of new Set(sweeps.flatMap(sweep => [...sumsOf(sweep).values()].map(sum => sum.name)))) yield { name, data: 'zeros' };
}

function gradientProgram({ source, ranks, ...data }: ImportanceData, sweeps: readonly (readonly ModuleSpec[])[]): Program {
  const traces: Record<string, Traced> = {};
  sweeps.forEach((sweep, i) => {
    for (const shape of source.plan.buckets) traces[sumSignature(shape, i)] = traceSums(data, shape, sweep);
    traces[clearSignature(i)] = traceSweep(sweep, (graph, sum) => graph.zeros(sum.shape));
    if (ranks) traces[totalSignature(i)] = traceSweep(sweep, (graph, sum) => graph.totalOf(graph.read(sum)), ranks.parts);
  });
  return assemble(traces);
}

function traceSums(
  { task, recompute, storage }: Pick<ImportanceData, 'task' | 'recompute' | 'storage'>,
  shape: BatchShape,
  sweep: readonly ModuleSpec[],
): Traced {
  const graph = new Graph();
  const wanted = new Set(sweep.map(({ weight }) => weight.name));
  const { loss, seeds } = task.loss(new Tracer({ graph, storage }), shape, ({ name }) => (wanted.has(name) ? 'all' : 'none'));
  const sums = new Map([...sumsOf(sweep)].map(([module, sum]) => [heldWeight(graph, module, storage), sum]));
  const effects: Node[] = [];
  backward(graph, {
    seeds,
    wrt: new Map([...sums.keys()].map(node => [node, {}])),
    policy: recompute,
    onReady: (weight, gradient) => {
      const sum = valueFor(sums, weight);
      graph.declare(sum);
      effects.push(graph.assignAdd(sum.name, graph.square(graph.cast(gradient, 'float32'))));
    },
  });
  return { graph, outputs: { loss }, effects };
}

/** Traces a signature that replaces each sum of a sweep. */
function traceSweep(sweep: readonly ModuleSpec[], next: (graph: Graph, sum: VariableSpec) => Node, parts?: Parts): Traced {
  const graph = new Graph(parts);
  const effects = [...sumsOf(sweep).values()].map(sum => {
    graph.declare(sum);
    return graph.assign(sum.name, next(graph, sum));
  });
  return { graph, outputs: { done: graph.scalar(1) }, effects };
}

function checkCanceled({ isCanceled }: ChooseElementsParams): void {
  if (isCanceled?.()) throw new ImportanceError('choosing the elements was canceled');
}

const HALF = 2 ** 16;

/**
 * The indices of the `count` largest values, ascending; the first among equals. Two histograms, each over half of the bits, find the
 * smallest chosen value, so the time is linear.
 * @param values nonnegative and not NaN, so that they sort like their bit patterns
 */
export function largest(values: Float32Array, count: number): Int32Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const high = boundary(bits, count, word => word >>> 16);
  const inHigh = (word: number): number => (word >>> 16 === high.bin ? word % HALF : -1);
  const low = boundary(bits, count - high.above, inHigh);
  const least = high.bin * HALF + low.bin;
  let equal = count - high.above - low.above;
  const places = new Int32Array(count);
  let found = 0;
  for (let i = 0; i < bits.length && found < count; i++) {
    const word = bits[i] as number;
    if (word > least || (word === least && equal-- > 0)) places[found++] = i;
  }
  return places;
}

/** The bin that contains the count-th largest value, and how many values are in higher bins. */
function boundary(bits: Uint32Array, count: number, binOf: (word: number) => number): { bin: number; above: number } {
  const counts = new Uint32Array(HALF);
  for (const word of bits) {
    const bin = binOf(word);
    if (bin >= 0) counts[bin] = (counts[bin] as number) + 1;
  }
  let [bin, above] = [HALF - 1, 0];
  while (bin > 0 && above + (counts[bin] as number) < count) above += counts[bin--] as number;
  return { bin, above };
}
