/** Scores every row, or column, of the targeted modules with one measure. */

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
  /** The scored part of each weight: columns of linear layers, or rows by default. */
  readonly unit?: TrainedUnit;
  readonly weights: WeightSource;
  /** Seed of the random control. */
  readonly seed: number;
  /** The data and the programs, for measures that need data. */
  readonly data?: ImportanceData;
  /** Called once with the work that is already done, then with progress. */
  readonly onProgress?: (done: number, total: number, unit: 'layers' | 'batches') => void;
  /** Receives preliminary scores from time to time, for display. */
  readonly partial?: PartialScores;
  /** The store from which an interrupted pass over the data continues. */
  readonly unfinished?: UnfinishedScores;
  /** Checked between layers and batches. */
  readonly isCanceled?: () => boolean;
}

export interface ImportanceData {
  readonly engine: Engine;
  readonly task: Task;
  readonly source: BatchSource;
  readonly recompute: RecomputePolicy;
  /** Applies element-wise measures to the exact mean gradient over all batches instead of each batch's gradient. */
  readonly exact: boolean;
  /** The step size, for a measure that takes steps. */
  readonly stepSize?: number;
  /** Memory limit for the mean gradients of one sweep, the same in all processes; a sweep contains at least one module. */
  readonly sweepBytes: number;
  /** The classes of labeled data. */
  readonly classes?: ClassesOfSamples;
  /** How the engine stores the weights; float32 by default. */
  readonly storage?: WeightStorage;
  /** The weights in host memory, by variable; none by default, and none for a measure that takes steps. */
  readonly hosted?: Program['places'];
  /** The processes that share the batches. */
  readonly ranks?: SharingRanks | undefined;
  /** Number of devices of one process that share the batches, 1 by default. A measure that takes steps uses one. */
  readonly devices?: number | undefined;
}

/** The processes that share the batches, as far as scoring needs them. */
export interface SharingRanks {
  readonly rank: number;
  readonly size: number;
  /** The parts that programs sum over. */
  readonly parts: Parts;
  /** Makes all processes follow a stop request at the same place. */
  agree(): void;
  /** Returns the element-wise sum over the processes. */
  sumArrays(values: Float32Array): Float32Array;
}

/** The batches in order; with several processes, only those of this one. */
export function* ownBatches(batches: readonly PlannedBatch[], ranks: SharingRanks | undefined): Generator<PlannedBatch> {
  for (const [i, batch] of batches.entries()) {
    if (ranks && i % ranks.size === 0) ranks.agree();
    if (!ranks || i % ranks.size === ranks.rank) yield batch;
  }
}

export interface ClassesOfSamples {
  readonly names: readonly string[];
  /** The index in `names` of a sample's class; −1 without a label. */
  readonly of: (sample: number) => number;
  /** Number of samples of each class. */
  readonly counts: readonly number[];
}

export interface Unfinished {
  /** Number of finished batches, or sweeps of an exact measure. */
  readonly done: number;
  /** The sums of all modules, or of those in the finished sweeps. */
  readonly sums: ReadonlyMap<string, Float32Array>;
}

/** Sums over the first batches (for an exact measure, the scores of the first sweeps), stored so that an interrupted pass can continue. */
export interface UnfinishedScores {
  load(): Promise<Unfinished | undefined>;
  /** Checked before sums are read for it, which may be slow. */
  isDue(): boolean;
  save(done: number, sums: ReadonlyMap<string, Float32Array>): Promise<void>;
}

/** Maximum share of the time spent on showing preliminary scores. */
const SHOW_SHARE = 0.03;

/**
 * One nonnegative score for each row or column of each module. `taylor`, `taylor_squared` and `taylor_row` use the mean loss over all
 * targets of the batches; `fisher` and the class-wise measures use the mean over samples of the mean loss over a sample's targets.
 * @throws ImportanceError if the measure needs data or labels and there are none, if it cannot score columns but should, or if it was
 * canceled
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

/** The number of scores of a module. */
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

/** The weight that a module multiplies by: Gemma stores norms as their difference from 1. */
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

/** @throws ImportanceError that explains what a class-wise measure needs */
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

/**
 * The number of batches that need not be computed again. If available memory has changed, the modules are split into other sweeps than
 * before.
 */
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
  // Sums of an interrupted sweep are too large to store: an exact measure stores finished sweeps only.
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
    // A stop request may have come after this process's last batch; the sums of all processes would wait for those that follow it.
    if (data.ranks) checkCanceled(params);
    if (!exact) continue;
    await session.run(reduceSignature(sweep), {});
    if (sweep + 1 < sweeps && params.unfinished?.isDue()) await keep(sweep + 1);
    await show(program.sweeps.slice(0, sweep + 1).flat());
  }
}

/** Groups of batches that are computed at the same time: a single one, or one per device. */
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

/** Adds batches of one shape to the sums. Devices without a batch repeat the first one, which is not counted. */
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

/** Turns sums over the batches into scores. */
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
      // The sum over a class becomes its mean.
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

/** Splits the modules into groups whose mean gradients fit, last module first, which is the order of the backward pass. */
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
