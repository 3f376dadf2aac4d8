/** An untrained model, stored the way a run stores its weights. */
import { untouched } from '../adapter/apply-adapter.ts';
import { hostedUntrained } from '../model/hosted-weights.ts';
import type { Model } from '../model/model-spec.ts';
import { type Precision, quantizable, WeightStorage } from '../model/weight-storage.ts';

/** @param hostFrom minimum size in bytes of the block weights kept in host memory; undefined if there are none */
export function untouchedIn(model: Model, precision: Precision, hostFrom?: number): typeof untouched & { readonly storage: WeightStorage } {
  const quantized = new Set(precision.quantize === 'none' ? [] : quantizable(model));
  const storage = new WeightStorage({ precision, parameters: model.parameters, quantized, floatParts: new Map() });
  const hosted = hostedUntrained(model, storage, hostFrom);
  return { ...untouched, storage, ...(hosted && { hosted }) };
}
