/** Compares merged weights with the tuned model before they are rounded, so that rounding cannot hide a wrong merge. */
import type { Adapter } from '../adapter/adapter.ts';
import { mergedWeights } from '../adapter/merge.ts';
import type { Engine } from '../engine/engine.ts';
import type { AnyModel } from '../model/model-spec.ts';
import { isExperts } from '../model/module-specs.ts';
import type { WeightSource } from '../model/weight-source.ts';
import { withInitial, withoutInitial } from '../model/weight-stream.ts';
import { differing } from './export-error.ts';
import { compareLogits, smokeLogits } from './smoke-test.ts';

/**
 * Largest effect of merging on any logit, as a share of the largest logit: ten times the usual tolerance, since factors are multiplied with
 * weights instead of inputs. LoRA of all layers of SmolLM2-135M: 8e-6.
 */
const MERGE_SHARE = 5e-4;
/** The part of the training's effect that a token with other experts may take away. */
const MOST_OF_TRAINING = 0.25;

interface MergeParams {
  readonly model: AnyModel;
  readonly adapter: Adapter;
  readonly weights: WeightSource;
  readonly ids: Int32Array;
  /** Logits of the tuned model. */
  readonly expected: Float32Array;
  readonly outputDir: string;
}

/** @throws ExportError if the merged weights compute something else than the tuned model */
export async function checkMerge(engine: Engine, { model, adapter, weights, ids, expected, outputDir }: MergeParams): Promise<void> {
  const base = withInitial(model, weights);
  const logitsOf = (from: WeightSource) => smokeLogits(engine, { model: withoutInitial(model), weights: from }, ids);
  const found = await logitsOf(mergedWeights(base, adapter));
  const difference = compareLogits(found, expected, MERGE_SHARE);
  if (difference.largest <= difference.tolerance) return;
  // The last bits of a sum can send a token to other experts.
  if (model.modules.some(isExperts) && keepsTraining(found, expected, await logitsOf(base))) return;
  throw differing('merging moves the tuned model', difference, outputDir);
}

/** True if logits are much closer to those of the tuned model than the base's are, by the root of the mean square. */
export function keepsTraining(found: Float32Array, expected: Float32Array, base: Float32Array): boolean {
  const squares = (other: Float32Array): number => expected.reduce((sum, value, i) => sum + (value - (other[i] as number)) ** 2, 0);
  return squares(found) <= MOST_OF_TRAINING ** 2 * squares(base);
}
