/** The program of a reward model, which scores texts. */
import { Graph } from '../../graph/graph.ts';
import type { Traced } from '../../graph/program.ts';
import { declareClassifierBatch } from '../../model/classifier-batch.ts';
import type { ClassifierModel } from '../../model/model-spec.ts';
import { Tracer, type TracerParams } from '../../model/tracer.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { type BatchShape, shapeName } from '../../train/task.ts';

/** A reward model with the largest batch that it scores. */
export interface RewardPass {
  readonly model: ClassifierModel;
  readonly shape: BatchShape;
}

/**
 * The largest batch: a prompt of `max_length` tokens with its answer in every row, as far as the model reads them. @param maxLength of the
 * reward model
 */
export const rewardPassOf = (
  { model, maxLength }: { readonly model: ClassifierModel; readonly maxLength: number },
  { max_length: prompt, per_device_eval_batch_size: rows, eval_generation: { max_samples: samples, max_new_tokens: answer } }: Recipe,
): RewardPass => {
  const batch = Math.min(rows, samples);
  return { model, shape: { batch, tokens: Math.min(maxLength, prompt + answer), targets: batch } };
};

/** Feeds: those of a batch of texts. Outputs `rewards` [batch]. */
export const rewardSignature = (shape: BatchShape): string => `reward/${shapeName(shape)}`;

export const rewardTraces = (
  model: ClassifierModel,
  { linearHook, storage }: Pick<TracerParams, 'linearHook' | 'storage'>,
  shapes: readonly BatchShape[],
): Readonly<Record<string, Traced>> =>
  Object.fromEntries(
    shapes.map(shape => {
      const graph = new Graph();
      const logits = model.logits(new Tracer({ graph, linearHook, storage }), declareClassifierBatch(graph, model.input, shape));
      return [rewardSignature(shape), { graph, outputs: { rewards: graph.reshape(logits, [shape.batch]) }, effects: [] }];
    }),
  );
