/**
 * Merges factors and magnitudes into a weight: the factors give the direction of each row, the magnitude its length.
 */
import { addedFactors, factorTensors } from '../lora/merge.ts';
import type { AddedTensors } from '../method.ts';
import { magnitudeOf } from './attach.ts';

export const addedMagnitudes: AddedTensors = {
  tensorEnds: [...addedFactors.tensorEnds, 'lora_magnitude_vector'],
  expected: (parts, module, problems) => {
    const factors = factorTensors(parts, module, problems);
    return factors.length > 0 ? [...factors, magnitudeOf(module)] : [];
  },
  merger: (adapter, weights) => {
    const ofFactors = addedFactors.merger(adapter, weights);
    return (module, isBias) => {
      const merge = ofFactors(module, isBias);
      const magnitude = `${module}.lora_magnitude_vector`;
      if (!merge || isBias || !adapter.tensors.has(magnitude)) return merge;
      return async weight => withLengths(await merge(weight), await adapter.readFloat32(magnitude));
    };
  },
  // Nothing stays unmerged: the norm of each row needs the whole product.
};

/** Scales each row to its length, in place. */
function withLengths(weight: Float32Array, lengths: Float32Array): Float32Array {
  const width = weight.length / lengths.length;
  lengths.forEach((length, i) => {
    const row = weight.subarray(i * width, (i + 1) * width);
    let squares = 0;
    for (const value of row) squares += value * value;
    const factor = squares > 0 ? length / Math.sqrt(squares) : 0;
    for (let j = 0; j < width; j++) (row[j] as number) *= factor;
  });
  return weight;
}
