/** The check of what a model computes before a token is drawn from it. */
import { GenerateError } from './decoder.ts';

/** @throws GenerateError if a logit is not finite */
export function checkFinite(logits: Float32Array): Float32Array {
  const bad = logits.findIndex(value => !Number.isFinite(value));
  if (bad >= 0)
    throw new GenerateError(`the model gives ${logits[bad]} for token ${bad}: its weights are damaged, or the training diverged`);
  return logits;
}
