/** A model of which nothing is trained, held as a run holds its weights. */
import { untouched } from '../adapter/apply-adapter.ts';
import { hostedUntrained } from '../model/hosted-weights.ts';
import type { Model } from '../model/model-spec.ts';
import { type Precision, quantizable, WeightStorage } from '../model/weight-storage.ts';

/** @param hostFrom bytes of the smallest weight of a block that lies in the host's memory; none does if left out */
export function untouchedIn(model: Model, precision: Precision, hostFrom?: number): typeof untouched & { readonly storage: WeightStorage } {
  const quantized = new Set(precision.quantize === 'none' ? [] : quantizable(model));
  const storage = new WeightStorage({ precision, parameters: model.parameters, quantized, floatParts: new Map() });
  const hosted = hostedUntrained(model, storage, hostFrom);
  return { ...untouched, storage, ...(hosted && { hosted }) };
}
