/** Trains a tiny model on an engine. No other test of methods uses sessions and feeds. */

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Engine, Session } from '../../../trainer/engine/engine.ts';
import { planner } from '../../../trainer/graph/fusion/plan.ts';
import type { RecomputePolicy } from '../../../trainer/graph/recompute.ts';
import type { HostArray } from '../../../trainer/graph/types.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import type { Attachment } from '../../../trainer/method/method.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import type { CausalModel } from '../../../trainer/model/model-spec.ts';
import type { WeightSource } from '../../../trainer/model/weight-source.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';
import { valueFor } from '../../../trainer/narrow.ts';
import { causalTask } from '../../../trainer/objective/causal/causal-task.ts';
import { optimizerFeeds } from '../../../trainer/train/optimizer.ts';
import type { OptimizerSettings } from '../../../trainer/train/optimizer-settings.ts';
import { readSnapshot, writeSnapshot } from '../../../trainer/train/snapshot.ts';
import type { BatchShape } from '../../../trainer/train/task.ts';
import { trainSignature } from '../../../trainer/train/train-passes.ts';
import { APPLY, evalSignature, trainProgram } from '../../../trainer/train/train-program.ts';
import { loadVariables } from '../../../trainer/train/variables.ts';
import { randomNumbers } from '../numbers/operation-case.ts';

export const adamw: OptimizerSettings = { name: 'adamw', weightDecay: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, momentum: 0 };
/** An optimizer that, at a learning rate of 1, changes each weight by exactly its gradient. */
export const plainSgd: OptimizerSettings = { ...adamw, name: 'sgd', weightDecay: 0 };

export interface TinyModel {
  readonly model: CausalModel;
  readonly weights: WeightSource;
}

/** Opens a model folder of `test/golden` with its weights in memory. */
export async function openTiny(name: string): Promise<TinyModel> {
  const folder = await openModel(join(import.meta.dirname, '..', '..', 'golden', name));
  const values = new Map<string, Float32Array>();
  for (const tensor of folder.weights.tensors.keys()) values.set(tensor, await folder.weights.readFloat32(tensor));
  await folder.weights.close();
  const weights = { tensors: folder.weights.tensors, readFloat32: async (tensor: string) => valueFor(values, tensor).slice() };
  return { model: causalModel(folder.config), weights };
}

/** One planner for all programs of a file, because they are similar and it memoizes what it has built. */
const fuse = planner();

const TOKENS = 10;
const BATCH = 2;
export const wholeShape: BatchShape = { batch: BATCH, tokens: TOKENS, targets: BATCH * (TOKENS - 1) };
export const halfShape: BatchShape = { batch: 1, tokens: TOKENS, targets: TOKENS - 1 };

/**
 * Returns rows [from, to) of a fixed batch. Every token of a row except the first is a target, and the loss is the mean over the whole
 * batch, times `lossScale`.
 */
export function feedsOf(vocabulary: number, from = 0, to = BATCH, lossScale = 1): Record<string, HostArray> {
  const all = Int32Array.from(randomNumbers(BATCH * TOKENS, 0, vocabulary, 5), Math.floor);
  const ids = all.slice(from * TOKENS, to * TOKENS);
  const targetPositions = Int32Array.from(ids.keys()).filter(i => i % TOKENS < TOKENS - 1);
  return {
    ids,
    targetPositions,
    targetIds: targetPositions.map(i => ids[i + 1] as number),
    targetWeights: new Float32Array(targetPositions.length).fill(lossScale / wholeShape.targets),
    seed: Int32Array.of(0, 0),
  };
}

export interface TinyRunParams {
  readonly engine: Engine;
  readonly tiny: TinyModel;
  readonly attachment: Attachment;
  readonly optimizer?: OptimizerSettings;
  readonly learningRate?: number;
  readonly lossScale?: number;
  readonly maxGradNorm?: number;
  readonly accumulationSteps?: number;
  readonly recompute?: RecomputePolicy;
  /** Values that replace the method's start values. */
  readonly start?: ReadonlyMap<string, HostArray>;
}

/** Settings that are not part of the program, so a new run may change them. */
export type StartOfRun = Pick<TinyRunParams, 'tiny' | 'learningRate' | 'lossScale' | 'start'>;

export class TinyRun {
  readonly session: Session;
  private params: TinyRunParams;
  private stepsDone = 0;

  private constructor(session: Session, params: TinyRunParams) {
    this.session = session;
    this.params = params;
  }

  static async open(params: TinyRunParams): Promise<TinyRun> {
    const { attachment, tiny, optimizer = adamw, accumulationSteps = 1, maxGradNorm = 0, recompute = 'none' } = params;
    const trained = accumulationSteps > 1 ? halfShape : wholeShape;
    const session = await params.engine.compile(
      trainProgram({
        task: causalTask(tiny.model),
        attachment,
        optimizer,
        maxGradNorm,
        accumulationSteps,
        recompute,
        trainShapes: attachment.trainables.length > 0 ? [trained] : [],
        evalShapes: [wholeShape],
      }),
      { offloadFolder: tmpdir(), fuse },
    );
    const run = new TinyRun(session, params);
    await run.begin(params);
    return run;
  }

  /** Sets every variable to its first value. This reuses the program, which takes longer to compile than to run. */
  async begin({ tiny, learningRate, lossScale, start }: StartOfRun): Promise<void> {
    this.params = { ...this.params, tiny, learningRate, lossScale, start };
    this.stepsDone = 0;
    const { attachment, optimizer = adamw, accumulationSteps = 1 } = this.params;
    const model = weightStream(tiny.model, tiny.weights, { storage: attachment.storage });
    await loadVariables(this.session, { model, attachment, optimizer, accumulates: accumulationSteps > 1, start });
  }

  /** Returns rows [from, to) of the batch; all by default. */
  private batch(from?: number, to?: number): Record<string, HostArray> {
    return feedsOf(this.params.tiny.model.vocabularySize, from, to, this.params.lossScale);
  }

  private scalars(): Record<string, HostArray> {
    const { optimizer = adamw, learningRate = 1e-2 } = this.params;
    return optimizerFeeds(optimizer, learningRate, ++this.stepsDone);
  }

  /** Runs one update on the whole batch. */
  async step(seed = 0): Promise<{ loss: number; gradNorm: number }> {
    const feeds = { ...this.batch(), ...this.scalars(), seed: Int32Array.of(0, seed) };
    const { loss, gradNorm } = await this.session.run(trainSignature(wholeShape), feeds);
    return { loss: loss?.[0] ?? Number.NaN, gradNorm: gradNorm?.[0] ?? Number.NaN };
  }

  async steps(count: number): Promise<number[]> {
    const losses: number[] = [];
    for (let i = 0; i < count; i++) losses.push((await this.step()).loss);
    return losses;
  }

  /** Runs one update on two halves of the batch. */
  async accumulatedStep(): Promise<{ gradNorm: number }> {
    for (const row of [0, 1]) await this.session.run(trainSignature(halfShape), this.batch(row, row + 1));
    const { gradNorm } = await this.session.run(APPLY, this.scalars());
    return { gradNorm: gradNorm?.[0] ?? Number.NaN };
  }

  async evaluate(): Promise<number> {
    const { loss } = await this.session.run(evalSignature(wholeShape), this.batch());
    return loss?.[0] ?? Number.NaN;
  }

  /** Returns everything that training changes, by name. */
  async snapshot(): Promise<Map<string, HostArray>> {
    const { attachment, optimizer = adamw } = this.params;
    const parts = new Map<string, HostArray>();
    for await (const { spec, data } of readSnapshot(this.session, attachment, optimizer)) parts.set(spec.name, data.slice());
    return parts;
  }

  async restore(parts: ReadonlyMap<string, HostArray>, stepsDone: number): Promise<void> {
    const { attachment, optimizer = adamw } = this.params;
    await writeSnapshot(this.session, attachment, optimizer, async name => valueFor(parts, name));
    this.stepsDone = stepsDone;
  }

  dispose(): Promise<void> {
    return this.session.dispose();
  }
}

/** Runs of one attachment, which share equal programs; each starts with fresh variables. */
export class SharedRuns {
  private readonly base: TinyRunParams;
  private readonly opened = new Map<string, TinyRun>();

  constructor(base: TinyRunParams) {
    this.base = base;
  }

  /** Uses one run at a time. */
  async use<T>(changes: Partial<Omit<TinyRunParams, 'engine' | 'attachment'>>, use: (run: TinyRun) => Promise<T>): Promise<T> {
    const params = { ...this.base, ...changes };
    const { tiny: _, learningRate: __, lossScale: ___, start: ____, ...compiled } = changes;
    const key = JSON.stringify(compiled);
    const found = this.opened.get(key);
    const run = found ?? (await TinyRun.open(params));
    if (found) await run.begin(params);
    this.opened.set(key, run);
    return use(run);
  }

  async dispose(): Promise<void> {
    for (const run of this.opened.values()) await run.dispose();
    this.opened.clear();
  }
}

/** Opens a run, uses it, and disposes of it. */
export async function withTinyRun<T>(params: TinyRunParams, use: (run: TinyRun) => Promise<T>): Promise<T> {
  const run = await TinyRun.open(params);
  try {
    return await use(run);
  } finally {
    await run.dispose();
  }
}

/**
 * Expects that three more steps of a run and of one that was restored to the same point are equal bit for bit. @returns the restored
 * variables
 */
export async function expectSameAfterRestore(params: TinyRunParams): Promise<ReadonlyMap<string, HostArray>> {
  const [straight, parts] = await withTinyRun(params, async run => {
    await run.steps(3);
    const snapshot = await run.snapshot();
    return [await run.steps(3), snapshot] as const;
  });
  const resumed = await withTinyRun(params, async run => {
    await run.restore(parts, 3);
    return run.steps(3);
  });
  expect(resumed).toEqual(straight);
  return parts;
}
