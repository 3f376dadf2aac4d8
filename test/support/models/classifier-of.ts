/** Loads a model that must be a classifier. */
import type { ConfigJson, ModelOptions } from '../../../trainer/model/config-json.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import type { ClassifierModel } from '../../../trainer/model/model-spec.ts';

/** @throws Error for a model that predicts the next token */
export function classifierOf(config: ConfigJson, options?: ModelOptions): ClassifierModel {
  const model = loadModel(config, options);
  if (model.kind === 'classifier') return model;
  throw new Error(`${model.family} predicts the next token; the test needs a classifier`);
}

/** Returns the model without dropout, because references are computed without it. */
export const withoutDropout = (model: ClassifierModel): ClassifierModel => ({
  ...model,
  logits: (tracer, batch) => model.logits(Object.create(tracer, { seed: { value: undefined } }), batch),
});
