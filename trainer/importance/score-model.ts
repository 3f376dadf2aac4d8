/** Scores every row, or column, of the targeted modules by one measure. */

import { type MeasureName, measureCatalog, measuresThat, measureWithoutData, measureWithoutLabels } from '../catalog/measures.ts';
import { alikeBatches } from '../data/batch/alike-batches.ts';
import type { PlannedBatch } from '../data/batch/batch-plan.ts';
import { type Batch, type BatchSource, filledBatches } from '../data/batch/batches.ts';
import type { Engine, Session, VariableData } from '../engine/engine.ts';
import type { Parts } from '../graph/graph.ts';
import type { Program } from '../graph/program.ts';
import type { RecomputePolicy } from '../graph/recompute.ts';
import type { HostArray } from '../graph/types.ts';
import { float32Of } from '../graph/types.ts';
import type { WeightCoder } from '../graph/weight-coder.ts';
import type { Model } from '../model/model-spec.ts';
import type { ModuleSpec } from '../model/module-specs.ts';
import type { WeightSource } from '../model/weight-source.ts';
import type { WeightStorage } from '../model/weight-storage.ts';
import { withInitial } from '../model/weight-stream.ts';
import { atLeast, required } from '../narrow.ts';
import type { TrainedUnit } from '../selection.ts';
import { runForEach } from '../train/run-on-each.ts';
import type { Task } from '../train/task.ts';
import { reduceClasses } from './class-scores.ts';
import { heldWeights } from './held-weights.ts';
import { ImportanceError } from './importance-error.ts';
import {
  accumulator,
  COUNTS,
  type ImportanceProgramParams,
  importanceProgram,
  meanGradientSpecs,
  reduceSignature,
  scoreSignature,
} from './importance-program.ts';
import { measures, type WeightMeasure } from './measures.ts';
import { scoreMovement } from './movement.ts';
import type { PartialScores } from './partial-scores.ts';
import { sampleFeeds } from './sample-feeds.ts';
import type { ModelScores } from './scores-file.ts';

export interface ScoreModelParams {
  readonly measure: MeasureName;
  readonly model: Model;
  readonly modules: readonly ModuleSpec[];
  /** The part of each weight that is scored: columns of linear layers, or rows, if not given. */
  readonly unit?: TrainedUnit;
  readonly weights: WeightSource;
  /** For the random control. */
  readonly seed: number;
  /** The data and the programs of the measures that need data. */
  readonly data?: ImportanceData;
  /** Called first with what is done already, before anything is. */
  readonly onProgress?: (done: number, total: number, unit: 'layers' | 'batches') => void;
  /** For those who watch: is given the scores so far, now and then. */
  readonly partial?: PartialScores;
  /** The store from which an interrupted pass over the data is continued. */
  readonly unfinished?: UnfinishedScores;
  /** Asked between layers and batches. */
  readonly isCanceled?: () => boolean;
}

export interface ImportanceData {
  readonly engine: Engine;
  readonly task: Task;
  readonly source: BatchSource;
  readonly recompute: RecomputePolicy;
  /** Element-wise measures of the exact mean gradient over all batches, not of each batch's. */
  readonly exact: boolean;
  /** The distance that a weight goes with each batch of a measure that takes steps. */
  readonly stepSize?: number;
  /** The most memory for the mean gradients of one sweep, the same in all processes; at least one module is in a sweep. */
  readonly sweepBytes: number;
  /** The classes of labeled data. */
  readonly classes?: ClassesOfSamples;
  /** How the engine holds the weights; float32 where not given. */
  readonly storage?: WeightStorage;
  /** The weights that lie in the host's memory, by variable; none if left out, and none for a measure that takes steps. */
  readonly hosted?: Program['places'];
  /** The processes that divide the batches among themselves. */
  readonly ranks?: SharingRanks | undefined;
  /** Devices of one process that do; 1 if left out. A measure that takes steps uses one. */
  readonly devices?: number | undefined;
}

/** The processes that divide the batches among themselves, as far as scoring needs them. */
export interface SharingRanks {
  readonly rank: number;
  readonly size: number;
  /** The parts over which programs sum. */
  readonly parts: Parts;
  /** Lets a request to stop be followed by all at the same place. */
  agree(): void;
  /** Each number summed over the processes. */
  sumArrays(values: Float32Array): Float32Array;
}

/** The batches in order; with several processes, those of this one. */
export function* ownBatches(batches: readonly PlannedBatch[], ranks: SharingRanks | undefined): Generator<PlannedBatch> {
  for (const [i, batch] of batches.entries()) {
    if (ranks && i % ranks.size === 0) ranks.agree();
    if (!ranks || i % ranks.size === ranks.rank) yield batch;
  }
}

export interface ClassesOfSamples {
  readonly names: readonly string[];
  /** The place in `names` of a sample of the source; −1 without a label. */
  readonly of: (sample: number) => number;
  /** Samples of each class. */
  readonly counts: readonly number[];
}

export interface Unfinished {
  /** Batches, or sweeps of an exact measure. */
  readonly done: number;
  /** The sums of all modules, or of those of the sweeps. */
  readonly sums: ReadonlyMap<string, Float32Array>;
}

/** Sums over the first batches (or, for an exact measure, the scores of the first sweeps), stored so that an interrupted pass can continue. */
export interface UnfinishedScores {
  load(): Promise<Unfinished | undefined>;
  /** Asked before sums are read for it, which may cost. */
  isDue(): boolean;
  save(done: number, sums: ReadonlyMap<string, Float32Array>): Promise<void>;
}

/** The share of the time that is spent on showing scores before they are complete. */
const SHOW_SHARE = 0.03;

/**
 * One non-negative score for each row, or column, of each module. `taylor`, `taylor_squared` and `taylor_row` take the mean loss over all targets of the
 * batches; `fisher` and the class-wise measures the mean over samples of the mean loss over a sample's targets.
 * @throws ImportanceError where the measure needs data or labels and there are none, scores no columns and is to, or where it was canceled
 */
export async function scoreModel(given: ScoreModelParams): Promise<ModelScores> {
  const params = { ...given, weights: withInitial(given.model, given.weights) };
  const { measure, modules, seed } = params;
  const how = measures[measure];
  if (params.unit === 'columns' && !measureCatalog[measure].scoresColumns)
    throw new ImportanceError(
      `the measure '${measure}' scores rows alone; for columns use ${measuresThat(({ scoresColumns }) => scoresColumns)}`,
    );
  if (how.needs === 'nothing')
    return { scores: new Map(modules.map(module => [module.name, how.score(module.name, unitCount(params, module), seed)])) };
  return how.needs === 'weights' ? scoreWeights(params, how) : scoreData(params);
}

/** How many scores a module has. */
const unitCount = ({ unit }: Pick<ScoreModelParams, 'unit'>, { weight }: ModuleSpec): number =>
  weight.shape[unit === 'columns' ? 1 : 0] as number;

async function scoreWeights(params: ScoreModelParams, how: WeightMeasure): Promise<ModelScores> {
  const { measure, modules, weights, unit } = params;
  const score = unit === 'columns' ? required(how.scoreColumns, `the column form of ${measure}`) : how.score;
  const scores = new Map<string, Float32Array>();
  params.onProgress?.(0, modules.length, 'layers');
  for (const module of modules) {
    checkCanceled(params);
    const weight = await actingWeight(weights, module);
    scores.set(module.name, score(weight, unitCount(params, module)));
    params.onProgress?.(scores.size, modules.length, 'layers');
    if (params.partial?.isDue()) await params.partial.save(scores);
  }
  return { scores };
}

/** The weight that a module multiplies by: Gemma's norms are stored as their distance from 1. */
async function actingWeight(weights: WeightSource, { weight, offset }: ModuleSpec): Promise<Float32Array> {
  const stored = await weights.readFloat32(weight.name);
  return offset ? stored.map(value => value + offset) : stored;
}

async function scoreData(params: ScoreModelParams): Promise<ModelScores> {
  const { measure, data, modules } = params;
  if (!data) throw new ImportanceError(`the measure '${measure}' needs data: give data.train, or use the measure '${measureWithoutData}'`);
  if (measureCatalog[measure].byClass) checkClasses(measure, data.classes);
  if (measureCatalog[measure].perSample && data.source.plan.rows.some(({ sequences }) => sequences.length > 1))
    throw new ImportanceError(`the measure '${measure}' looks at samples one by one, so they can't share a row; set packing: false`);
  if (measures[measure].needs === 'steps') return scoreMovement(params, data);
  const program: ImportanceProgramParams = {
    measure,
    ...(params.unit && { unit: params.unit }),
    task: data.task,
    modules,
    shapes: data.source.plan.buckets,
    recompute: data.recompute,
    classes: data.classes?.names.length ?? 0,
    sweeps: measures[measure].needs === 'gradients' && data.exact ? sweepsOf(modules, data.sweepBytes) : [],
    storage: data.storage,
    parts: data.ranks?.parts,
    devices: data.devices,
  };
  const session = await data.engine.compile({ ...importanceProgram(program), places: data.hosted });
  try {
    const begun = await params.unfinished?.load();
    await session.load(startValues(params, program, begun?.sums, session.coder));
    await runBatches(params, data, program, session, begunBatches(program, data, begun));
    const sums = await readSums(session, program, modules);
    if (data.ranks && program.sweeps.length === 0) for (const [name, own] of sums) sums.set(name, data.ranks.sumArrays(own));
    return await finish(params, data, sums);
  } finally {
    await session.dispose();
  }
}

/** @throws ImportanceError that says what a class-wise measure needs */
function checkClasses(measure: MeasureName, classes: ClassesOfSamples | undefined): void {
  const needed = `the measure '${measure}' compares classes, so its samples need labels of at least two classes`;
  if (!classes || classes.names.length === 0)
    throw new ImportanceError(`${needed}; this data has none: give text and label, or use the measure '${measureWithoutLabels}'`);
  const present = classes.names.filter((_, label) => (classes.counts[label] ?? 0) > 0);
  if (present.length < 2)
    throw new ImportanceError(
      `${needed}; all that it looks at are '${present[0] ?? 'unlabeled'}': raise importance.samples, or use '${measureWithoutLabels}'`,
    );
}

async function* startValues(
  { model, modules, weights }: ScoreModelParams,
  program: ImportanceProgramParams,
  begun: ReadonlyMap<string, Float32Array> | undefined,
  coder: WeightCoder | undefined,
): AsyncGenerator<VariableData> {
  yield* heldWeights(model, weights, program.storage, coder);
  for (const module of modules) yield { name: accumulator(program, module).name, data: begun?.get(module.name) ?? 'zeros' };
  for (const { name } of meanGradientSpecs(program.sweeps)) yield { name, data: 'zeros' };
}

/** Batches that need not be computed again. Where memory has changed, modules are cut into other sweeps than before. */
function begunBatches({ sweeps }: ImportanceProgramParams, { source }: ImportanceData, begun: Unfinished | undefined): number {
  if (begun === undefined || sweeps.length === 0) return begun?.done ?? 0;
  const next = sweeps.findIndex(modules => modules.some(({ name }) => !begun.sums.has(name)));
  return source.plan.batchesPerEpoch * (next < 0 ? sweeps.length : next);
}

async function runBatches(
  params: ScoreModelParams,
  data: ImportanceData,
  program: ImportanceProgramParams,
  session: Session,
  first: number,
): Promise<void> {
  const exact = program.sweeps.length > 0;
  const sweeps = Math.max(1, program.sweeps.length);
  const { rows, batchesPerEpoch: perSweep } = data.source.plan;
  const targets = rows.reduce((sum, row) => sum + row.targets, 0);
  let done = first;
  // Sums of a sweep that was broken off are too large to keep: an exact measure keeps whole sweeps, and nothing of those to come.
  const keep = async (count: number): Promise<void> =>
    params.unfinished?.save(count, await readSums(session, program, exact ? program.sweeps.slice(0, count).flat() : params.modules));
  let showMs = 0;
  const show = async (of: readonly ModuleSpec[]): Promise<void> => {
    const startedMs = performance.now();
    if (startedMs < showMs || !params.partial?.isDue()) return;
    await params.partial.save((await finish(params, data, await readSums(session, program, of))).scores);
    // Reading the weights (wanda) or sorting many classes may take longer than writing.
    showMs = performance.now() + (performance.now() - startedMs) / SHOW_SHARE;
  };
  const [total, shares] = [sweeps * perSweep, data.ranks?.size ?? 1];
  const report = (): void => params.onProgress?.(Math.min(done * shares, total), total, 'batches');
  report();
  for (let sweep = Math.floor(first / perSweep); sweep < sweeps; sweep++) {
    let place = sweep * perSweep;
    for await (const batches of sharedRounds(data)) {
      const at = place;
      place += batches.length;
      if (at < done) continue;
      if (params.isCanceled?.() && !exact) await keep(done);
      checkCanceled(params);
      await runRound(session, data, { batches, sweep, feedsOf: batch => feedsOf(params.measure, data, batch, targets) });
      done += batches.length;
      report();
      if (exact || done === perSweep) continue;
      if (params.unfinished?.isDue()) await keep(done);
      await show(params.modules);
    }
    // A request to stop may have come when this process had no batch left; the sums of all would wait for those that follow it.
    if (data.ranks) checkCanceled(params);
    if (!exact) continue;
    await session.run(reduceSignature(sweep), {});
    if (sweep + 1 < sweeps && params.unfinished?.isDue()) await keep(sweep + 1);
    await show(program.sweeps.slice(0, sweep + 1).flat());
  }
}

/** The batches that are computed at the same time: one, or one of each device. */
async function* sharedRounds({ source, ranks, devices = 1 }: ImportanceData): AsyncGenerator<readonly Batch[]> {
  if (devices === 1) {
    for await (const batch of filledBatches(source, ownBatches(source.plan.epoch(0), ranks))) yield [batch];
    return;
  }
  for (const round of alikeBatches(source.plan.epoch(0), devices)) {
    const batches = await Promise.all(round.map(planned => source.fill(planned)));
    yield batches;
    for (const batch of batches) source.release?.(batch);
  }
}

interface RoundToRun {
  readonly batches: readonly Batch[];
  readonly sweep: number;
  readonly feedsOf: (batch: Batch) => Record<string, HostArray>;
}

/** Adds batches of one shape to the sums. Devices without one repeat the first, which does not count. */
async function runRound(session: Session, { devices = 1 }: ImportanceData, { batches, sweep, feedsOf }: RoundToRun): Promise<void> {
  const [first] = atLeast(batches, 1);
  const own = batches.map(feedsOf);
  const feeds =
    devices === 1
      ? own
      : Array.from({ length: devices }, (_, i) => ({ ...(own[i] ?? own[0]), [COUNTS]: Float32Array.of(i < own.length ? 1 : 0) }));
  await runForEach(session, scoreSignature(first.bucket, sweep), { feeds, devices });
}

function feedsOf(measure: MeasureName, data: ImportanceData, batch: Batch, targets: number): Record<string, HostArray> {
  return {
    ...batch.feeds(measureCatalog[measure].perSample ? 1 : targets),
    ...sampleFeeds(batch, { classOf: data.classes?.of, rowsPerSample: data.task.rowsPerSample }),
  };
}

async function readSums(
  session: Session,
  program: ImportanceProgramParams,
  modules: readonly ModuleSpec[],
): Promise<Map<string, Float32Array>> {
  const sums = new Map<string, Float32Array>();
  for (const module of modules) sums.set(module.name, float32Of(await session.read(accumulator(program, module).name)));
  return sums;
}

/** From sums over the batches to scores. */
async function finish(
  { measure, modules, weights, unit }: ScoreModelParams,
  { classes, source }: ImportanceData,
  sums: ReadonlyMap<string, Float32Array>,
): Promise<ModelScores> {
  const how = measures[measure];
  const scores = new Map<string, Float32Array>();
  const classScores = new Map<string, Float32Array>();
  const samples = source.plan.rows.reduce((sum, row) => sum + row.sequences.length, 0);
  for (const module of modules) {
    const sum = sums.get(module.name);
    if (!sum) continue;
    if (classes && how.needs === 'outputs' && how.of === 'classes') {
      const rows = module.weight.shape[0] as number;
      // From the sum over a class to its mean.
      const means = sum.map((value, i) => Math.abs(value) / Math.max(1, classes.counts[Math.floor(i / rows)] as number));
      classScores.set(module.name, means);
      scores.set(module.name, reduceClasses(how.reduce, means, classes.counts));
    } else if (how.needs === 'inputs') {
      const finished = unit === 'columns' ? required(how.finishColumns, `the column form of ${measure}`) : how.finish;
      scores.set(module.name, await finished(module, sum, weights));
    } else scores.set(module.name, how.needs === 'outputs' && how.of === 'samples' ? sum.map(value => value / samples) : sum.map(Math.abs));
  }
  const { names = [], counts = [] } = classes ?? {};
  return measureCatalog[measure].byClass ? { scores, classes: { names, counts, scores: classScores } } : { scores };
}

/** Cuts the modules, last first as the backward pass meets them, into groups whose mean gradients fit. */
export function sweepsOf(modules: readonly ModuleSpec[], sweepBytes: number): ModuleSpec[][] {
  const sweeps: ModuleSpec[][] = [];
  let room = 0;
  for (const module of [...modules].reverse()) {
    const bytes = 4 * module.weight.shape.reduce((n, d) => n * d, 1);
    if (sweeps.length === 0 || bytes > room) {
      sweeps.push([]);
      room = sweepBytes;
    }
    sweeps.at(-1)?.push(module);
    room -= bytes;
  }
  return sweeps;
}

function checkCanceled({ isCanceled }: ScoreModelParams): void {
  if (isCanceled?.()) throw new ImportanceError('computing the importance was canceled');
}
