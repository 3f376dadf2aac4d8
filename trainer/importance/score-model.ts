/** Scores every row of the targeted modules by one measure. */
import type { Engine, Session, VariableData } from '../engine/engine.ts';
import type { RecomputePolicy } from '../graph/recompute.ts';
import type { HostArray } from '../graph/types.ts';
import type { Model, ModuleSpec } from '../model/model-spec.ts';
import { type WeightSource, weightStream } from '../model/weight-stream.ts';
import type { Scores } from '../selection.ts';
import { type BatchSource, epochBatches } from '../train/data/batches.ts';
import type { Task } from '../train/task.ts';
import {
  accumulatorSpecs,
  exactTaylorProgram,
  type ImportanceProgramParams,
  reduceSignature,
  SCORES,
  scoreSignature,
  scoreVariable,
  taylorProgram,
  taylorRowProgram,
} from './importance-program.ts';
import { type MeasureName, magnitude, randomScores } from './measure.ts';
import type { PartialScores } from './partial-scores.ts';

export interface ScoreModelParams {
  readonly measure: MeasureName;
  readonly model: Model;
  readonly modules: readonly ModuleSpec[];
  readonly weights: WeightSource;
  /** For the random control. */
  readonly seed: number;
  /** What the measures that need data compute with and on. */
  readonly data?: ImportanceData;
  readonly onProgress?: (done: number, total: number, unit: 'layers' | 'batches') => void;
  /** For those who watch: is given the scores so far, now and then. */
  readonly partial?: PartialScores;
  /** Asked between layers and batches. */
  readonly isCancelled?: () => boolean;
}

export interface ImportanceData {
  readonly engine: Engine;
  readonly task: Task;
  readonly source: BatchSource;
  readonly recompute: RecomputePolicy;
  /** Element-wise Taylor of the exact mean gradient over all batches, not of each batch's. */
  readonly exact: boolean;
  /** What the mean gradients of one sweep may take; at least one module is in a sweep. */
  readonly sweepBytes: number;
}

export class ImportanceError extends Error {
  override name = 'ImportanceError';
}

/**
 * One non-negative score a row of each module. The gradient measures take the mean loss over all targets of the batches.
 * @throws ImportanceError where the measure needs data and there is none, or where it was cancelled
 */
export async function scoreModel(params: ScoreModelParams): Promise<Scores> {
  const { measure, modules, seed } = params;
  switch (measure) {
    case 'magnitude':
      return scoreWeights(params);
    case 'random':
      return new Map(modules.map(module => [module.name, randomScores(module.name, module.weight.shape[0] as number, seed)]));
    case 'taylor':
    case 'taylor_row':
      return scoreGradients(params, measure);
  }
}

async function scoreWeights(params: ScoreModelParams): Promise<Scores> {
  const { modules, weights } = params;
  const scores = new Map<string, Float32Array>();
  for (const module of modules) {
    checkCancelled(params);
    scores.set(module.name, magnitude(await weights.readFloat32(module.weight.name), module.weight.shape[0] as number));
    params.onProgress?.(scores.size, modules.length, 'layers');
    if (params.partial?.isDue()) await params.partial.save(scores);
  }
  return scores;
}

async function scoreGradients(params: ScoreModelParams, measure: 'taylor' | 'taylor_row'): Promise<Scores> {
  const { data, modules } = params;
  if (!data) throw new ImportanceError(`the measure '${measure}' needs data: give data.train, or take the measure 'magnitude'`);
  const { task, source, recompute } = data;
  const program: ImportanceProgramParams = { task, modules, shapes: source.plan.buckets, recompute };
  const sweeps = measure === 'taylor' && data.exact ? sweepsOf(modules, data.sweepBytes) : [];
  const session = await data.engine.compile(
    measure === 'taylor_row' ? taylorRowProgram(program) : sweeps.length > 0 ? exactTaylorProgram(program, sweeps) : taylorProgram(program),
  );
  try {
    await session.load(startValues(params, sweeps));
    await runSweeps(params, data, session, sweeps);
    return readScores(await session.run(SCORES, {}), modules);
  } finally {
    await session.dispose();
  }
}

async function* startValues(
  { model, modules, weights }: ScoreModelParams,
  sweeps: readonly (readonly ModuleSpec[])[],
): AsyncGenerator<VariableData> {
  yield* weightStream(model, weights);
  for (const module of modules) yield { name: scoreVariable(module).name, data: 'zeros' };
  for (const { name } of accumulatorSpecs(sweeps)) yield { name, data: 'zeros' };
}

async function runSweeps(
  params: ScoreModelParams,
  data: ImportanceData,
  session: Session,
  exactSweeps: readonly (readonly ModuleSpec[])[],
): Promise<void> {
  const sweeps = Math.max(1, exactSweeps.length);
  const { rows, batchesPerEpoch } = data.source.plan;
  const targets = rows.reduce((sum, row) => sum + row.targets, 0);
  let done = 0;
  for (let sweep = 0; sweep < sweeps; sweep++) {
    for await (const batch of epochBatches(data.source, 0)) {
      checkCancelled(params);
      await session.run(scoreSignature(batch.bucket, sweep), batch.feeds(targets));
      params.onProgress?.(++done, sweeps * batchesPerEpoch, 'batches');
      if (exactSweeps.length === 0 && params.partial?.isDue())
        await params.partial.save(readScores(await session.run(SCORES, {}), params.modules));
    }
    if (exactSweeps.length === 0) continue;
    await session.run(reduceSignature(sweep), {});
    const scored = exactSweeps.slice(0, sweep + 1).flat();
    if (params.partial?.isDue()) await params.partial.save(readScores(await session.run(SCORES, {}), scored));
  }
}

const readScores = (outputs: Readonly<Record<string, HostArray>>, modules: readonly ModuleSpec[]): Scores =>
  new Map(modules.map(({ name }) => [name, Float32Array.from(outputs[name] as HostArray, Math.abs)]));

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

function checkCancelled({ isCancelled }: ScoreModelParams): void {
  if (isCancelled?.()) throw new ImportanceError('computing the importance was cancelled');
}
