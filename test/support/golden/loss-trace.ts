/** Runs a few AdamW steps on a golden folder; the trace tests compare the losses with PyTorch's. */

import { z } from 'zod';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { elementCount, type HostArray, type Shape } from '../../../trainer/graph/types.ts';
import type { Attachment } from '../../../trainer/method/method.ts';
import type { ModuleSpec } from '../../../trainer/model/module-specs.ts';
import { elementAt, required } from '../../../trainer/narrow.ts';
import { runCachedBatch } from '../../../trainer/train/cached-batch.ts';
import { optimizerFeeds } from '../../../trainer/train/optimizer.ts';
import { trainSignature } from '../../../trainer/train/train-passes.ts';
import { APPLY, trainProgram } from '../../../trainer/train/train-program.ts';
import type { TrainProgramParams } from '../../../trainer/train/training-params.ts';
import { loadVariables, type StartValues } from '../../../trainer/train/variables.ts';

/** Losses of a reference by what is trained: before each step, and after the last one. */
export const lossesForm = z.object({ full: z.array(z.number()), spsft: z.array(z.number()), lora: z.array(z.number()) });

/** AdamW as in the reference scripts, without weight decay. */
export const TRACE_OPTIMIZER = { name: 'adamw', weightDecay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, momentum: 0 } as const;

/** Number of steps in the reference scripts. */
const STEPS = 4;

export interface LossTraceParams
  extends Pick<TrainProgramParams, 'task' | 'attachment' | 'recompute'>,
    Pick<StartValues, 'model'>,
    Required<Pick<StartValues, 'start'>> {
  readonly optimizer?: TrainProgramParams['optimizer'];
  readonly shape: TrainProgramParams['trainShapes'][number];
  readonly rate: number;
  readonly feeds: Readonly<Record<string, HostArray>>;
}

/** Returns the losses before each of four steps on the same batch, and after the last one. */
export async function lossTrace(
  engine: Engine,
  { task, attachment, recompute, model, start, optimizer = TRACE_OPTIMIZER, shape, rate, feeds }: LossTraceParams,
): Promise<number[]> {
  const program = { task, attachment, optimizer, maxGradNorm: 0, accumulationSteps: 1, recompute, trainShapes: [shape], evalShapes: [] };
  const session = await engine.compile(trainProgram(program));
  await loadVariables(session, { model, attachment, optimizer, start, accumulates: task.cached !== undefined });
  const found: number[] = [];
  for (let step = 1; step <= STEPS + 1; step++) {
    const scalars = optimizerFeeds(optimizer, rate, step);
    const seed = Int32Array.of(0, 0);
    const out = task.cached
      ? await runCachedBatch(session, task.cached, { shape, rows: shape.batch, feeds, seedOf: () => seed })
      : await session.run(trainSignature(shape), { ...feeds, seed, ...scalars });
    if (task.cached) await session.run(APPLY, scalars);
    found.push(elementAt(Array.from(required(out.loss, 'the loss')), 0));
  }
  await session.dispose();
  return found;
}

/** Feeds of a language model: each token of a row except the first is a target, and all have the same weight. */
export function nextTokenFeeds(ids: Int32Array, tokens: number): Readonly<Record<string, HostArray>> {
  const positions = [...ids.keys()].filter(i => i % tokens < tokens - 1);
  return {
    ids,
    targetPositions: Int32Array.from(positions),
    targetIds: Int32Array.from(positions, i => ids[i + 1] as number),
    targetWeights: new Float32Array(positions.length).fill(1 / positions.length),
  };
}

/** Returns every n-th of `count` rows, as the reference scripts choose them. */
export const everyNth = (count: number, n: number): Int32Array => Int32Array.from({ length: Math.ceil(count / n) }, (_, i) => i * n);

/** Returns the start values of low-rank factors in `scripts/four_steps.py`. @param nameOf returns the script's name of a module */
export function waveFactors(
  { trainables }: Attachment,
  modules: readonly ModuleSpec[],
  nameOf: (module: ModuleSpec) => string,
): Map<string, HostArray> {
  const start = new Map<string, HostArray>();
  for (const { name, shape } of trainables) {
    const module = modules.find(each => name.startsWith(`${each.name}.lora_`));
    start.set(name, wave(shape, (module ? nameOf(module).length : 0) + (name.includes('lora_B') ? 1 : 0)));
  }
  return start;
}

const wave = (shape: Shape, phase: number): Float32Array =>
  Float32Array.from({ length: elementCount(shape) }, (_, at) => 0.1 * Math.sin(0.7 * at + phase));
