/** A model's weights as stored while importance is computed: in the precision of the run, so that scoring fits wherever training does. */
import type { Graph, Node } from '../graph/graph.ts';
import type { VariableData } from '../graph/program.ts';
import type { WeightCoder } from '../graph/weight-coder.ts';
import type { Model } from '../model/model-spec.ts';
import type { ModuleSpec } from '../model/module-specs.ts';
import type { WeightSource } from '../model/weight-source.ts';
import { FLOAT32_STORAGE, type WeightStorage } from '../model/weight-storage.ts';
import { weightStream } from '../model/weight-stream.ts';
import { ImportanceError } from './importance-error.ts';

/** The weight of a module in its stored type, for which its gradient is computed. @throws ImportanceError for a quantized weight */
export function heldWeight(graph: Graph, { weight }: ModuleSpec, storage: WeightStorage = FLOAT32_STORAGE): Node {
  const dtype = storage.formOf(weight);
  if (dtype !== 'float32' && dtype !== 'bfloat16')
    throw new ImportanceError(`${weight.name} is held as ${dtype}, and a quantized weight has no gradient`);
  return graph.read({ ...weight, dtype });
}

/** Yields the values of the variables for the weights, one tensor at a time. */
export async function* heldWeights(
  model: Model,
  weights: WeightSource,
  storage: WeightStorage = FLOAT32_STORAGE,
  coder?: WeightCoder,
): AsyncGenerator<VariableData> {
  for await (const value of weightStream(model, weights, { storage })) yield* storage.encode(value, coder);
}
