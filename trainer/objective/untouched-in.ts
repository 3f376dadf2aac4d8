/** A model of which nothing is trained, held as a run holds its weights. */
import { untouched } from '../adapter/apply-adapter.ts';
import type { Model } from '../model/model-spec.ts';
import { type Precision, quantizable, WeightStorage } from '../model/weight-storage.ts';

export function untouchedIn(model: Model, precision: Precision): typeof untouched & { readonly storage: WeightStorage } {
  const quantized = new Set(precision.quantize === 'none' ? [] : quantizable(model));
  return { ...untouched, storage: new WeightStorage({ precision, parameters: model.parameters, quantized, floatParts: new Map() }) };
}
