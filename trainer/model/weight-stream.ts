/** A model's weights on their way into an engine, one tensor at a time. */
import type { VariableData } from '../graph/program.ts';
import { weightMismatches } from './load-model.ts';
import type { CausalModel } from './model-spec.ts';
import { ModelConfigError } from './model-spec.ts';

/** Where weights come from: a weight file, by the names that the model uses. */
export interface WeightSource {
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  readFloat32(name: string): Promise<Float32Array>;
}

/** @throws ModelConfigError that lists everything in which config.json and the weights disagree */
export function checkWeights(model: CausalModel, weights: Pick<WeightSource, 'tensors'>): void {
  const wrong = weightMismatches(model, weights.tensors);
  if (wrong.length > 0)
    throw new ModelConfigError(
      `the weights do not fit config.json in ${wrong.length} place${wrong.length > 1 ? 's' : ''}:\n  ${wrong.join('\n  ')}`,
    );
}

export async function* weightStream(
  model: CausalModel,
  weights: WeightSource,
  onTensor?: (done: number, total: number) => void,
): AsyncGenerator<VariableData> {
  checkWeights(model, weights);
  let done = 0;
  for (const { name } of model.parameters) {
    yield { name, data: await weights.readFloat32(name) };
    onTensor?.(++done, model.parameters.length);
  }
}
