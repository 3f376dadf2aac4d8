/** A model's weights on their way into an engine, one tensor at a time. */

import type { VariableData } from '../graph/program.ts';
import { elementCount, sameShape } from '../graph/types.ts';
import { createRandom, hashSeed } from '../random.ts';
import { weightMismatches } from './load-model.ts';
import { type Model, ModelConfigError } from './model-spec.ts';
import type { ParameterSpec } from './module-specs.ts';
import { withStacks } from './stored-form.ts';
import type { SourceTensor, WeightSource } from './weight-source.ts';
import { largestFirst, type WeightStorage } from './weight-storage.ts';

/** @throws ModelConfigError that lists everything in which config.json and the weights disagree */
export function checkWeights(model: Model, weights: Pick<WeightSource, 'tensors'>): void {
  const wrong = weightMismatches(model, weights.tensors);
  if (wrong.length > 0)
    throw new ModelConfigError(
      `the weights do not fit config.json in ${wrong.length} place${wrong.length > 1 ? 's' : ''}:\n  ${wrong.join('\n  ')}`,
    );
}

/** A source by the model's names: it also holds the start values of what the weight file lacks (a new head), and stacks of what it has apart. */
export function withInitial(model: Model, file: WeightSource): WeightSource {
  const weights = withStacks(model.parameters, file);
  const fresh = new Map(model.parameters.filter(({ initial }) => initial).map(spec => [spec.name, spec]));
  if (fresh.size === 0) return weights;
  return {
    tensors: new Map<string, SourceTensor>([...weights.tensors, ...fresh]),
    readFloat32: async name => initialValues(fresh.get(name)) ?? (await weights.readFloat32(name)),
    readBfloat16: async name => (fresh.has(name) ? undefined : weights.readBfloat16?.(name)),
  };
}

/** The model with every parameter from its weights: of a head that has been trained, no start values. */
export const withoutInitial = <M extends Model>(model: M): M => ({
  ...model,
  parameters: model.parameters.map(({ initial: _, ...parameter }) => parameter),
});

function initialValues(spec: ParameterSpec | undefined): Float32Array | undefined {
  if (!spec?.initial) return undefined;
  const count = elementCount(spec.shape);
  const { initial } = spec;
  if (initial.kind === 'zeros') return new Float32Array(count);
  const random = createRandom(hashSeed(initial.seed, spec.name));
  // Box and Muller (1958); 1 − u lies in (0, 1], where the logarithm is finite.
  const draw = () => initial.std * Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform());
  return Float32Array.from({ length: count }, draw);
}

/** Bytes of one number of a start value, which no file has. */
const FLOAT32_BYTES = 4;

export interface StreamOptions {
  /** Called before the first tensor and after each one, with the bytes of the file that are read. */
  readonly onBytes?: ((done: number, total: number) => void) | undefined;
  /** How the weights are held: of those in bfloat16 the bits come where the source has them, and float32 where it has not. */
  readonly storage?: WeightStorage | undefined;
}

/** Every parameter of the model, the largest first; of a new head its start values, unless the source has trained ones of that shape. */
export async function* weightStream(
  model: Model,
  file: WeightSource,
  { onBytes, storage }: StreamOptions = {},
): AsyncGenerator<VariableData> {
  checkWeights(model, file);
  const weights = withStacks(model.parameters, file);
  const bytesOf = ({ name, shape }: ParameterSpec): number => weights.tensors.get(name)?.byteLength ?? FLOAT32_BYTES * elementCount(shape);
  const total = model.parameters.reduce((sum, spec) => sum + bytesOf(spec), 0);
  let done = 0;
  onBytes?.(done, total);
  for (const spec of largestFirst(model.parameters, storage)) {
    const isHeld = !spec.initial || sameShape(weights.tensors.get(spec.name)?.shape ?? [], spec.shape);
    const fresh = isHeld ? undefined : initialValues(spec);
    const bits = !fresh && storage?.formOf(spec) === 'bfloat16' ? await weights.readBfloat16?.(spec.name) : undefined;
    yield { name: spec.name, data: fresh ?? bits ?? (await weights.readFloat32(spec.name)) };
    done += bytesOf(spec);
    onBytes?.(done, total);
  }
}
