/** Streams a model's weights into an engine, one tensor at a time. */

import type { VariableData } from '../graph/program.ts';
import { elementCount, sameShape } from '../graph/types.ts';
import type { StoredValues } from '../graph/weight-coder.ts';
import { createRandom, hashSeed } from '../random.ts';
import { weightMismatches } from './load-model.ts';
import { type Model, ModelConfigError } from './model-spec.ts';
import type { ParameterSpec } from './module-specs.ts';
import { SpareMemory } from './spare-memory.ts';
import { withStacks } from './stored-form.ts';
import type { Memory, SourceTensor, WeightSource } from './weight-source.ts';
import { largestFirst, type WeightStorage } from './weight-storage.ts';

/** @throws ModelConfigError listing every disagreement between config.json and the weights */
export function checkWeights(model: Model, weights: Pick<WeightSource, 'tensors'>): void {
  const wrong = weightMismatches(model, weights.tensors);
  if (wrong.length > 0)
    throw new ModelConfigError(
      `the weights do not fit config.json in ${wrong.length} place${wrong.length > 1 ? 's' : ''}:\n  ${wrong.join('\n  ')}`,
    );
}

/**
 * Checks biases that only the file has. Files of GPTQ have zeros in place of biases.
 * @throws ModelConfigError for one with other values: Transformers would compute with it if the config were right
 */
async function checkSpareBiases({ parameters }: Model, weights: WeightSource): Promise<void> {
  const known = new Set(parameters.map(({ name }) => name));
  const biases = parameters
    .map(({ name }) => name.replace(/\.weight$/, '.bias'))
    .filter(name => weights.tensors.has(name) && !known.has(name));
  for (const name of biases)
    if ((await weights.readFloat32(name)).some(value => value !== 0))
      throw new ModelConfigError(
        `the weights have ${name}, which config.json leaves out: check its keys for biases, such as attention_bias and mlp_bias`,
      );
}

/**
 * A source under the model's names that adds the initial values of parameters missing in the weight file (a new head), and stacks that the
 * file stores as separate tensors.
 */
export function withInitial(model: Model, file: WeightSource): WeightSource {
  const weights = withStacks(model.parameters, file);
  const fresh = new Map(model.parameters.filter(({ initial }) => initial).map(spec => [spec.name, spec]));
  if (fresh.size === 0) return weights;
  return {
    tensors: new Map<string, SourceTensor>([...weights.tensors, ...fresh]),
    readFloat32: async (name, memory) => initialValues(fresh.get(name)) ?? (await weights.readFloat32(name, memory)),
    readBfloat16: async (name, memory) => (fresh.has(name) ? undefined : weights.readBfloat16?.(name, memory)),
  };
}

/** Returns the model with every parameter read from its weights: a trained head gets no initial values. */
export const withoutInitial = <M extends Model>(model: M): M => ({
  ...model,
  parameters: model.parameters.map(({ initial: _, ...parameter }) => parameter),
});

function initialValues(spec: ParameterSpec | undefined): Float32Array | undefined {
  if (!spec?.initial) return undefined;
  const count = elementCount(spec.shape);
  const { initial } = spec;
  if (initial.kind !== 'normal') return new Float32Array(count).fill(initial.kind === 'ones' ? 1 : 0);
  const random = createRandom(hashSeed(initial.seed, spec.name));
  // Box and Muller (1958); 1 − u lies in (0, 1], so the logarithm is finite.
  const draw = () => initial.std * Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform());
  return Float32Array.from({ length: count }, draw);
}

/** Bytes per initial value, which no file contains. */
const FLOAT32_BYTES = 4;

export interface StreamOptions {
  /** Called before the first tensor and after each one, with the number of file bytes read so far. */
  readonly onBytes?: ((done: number, total: number) => void) | undefined;
  /**
   * How the weights are stored. If given, values come in the file's type for `storage.encode`: bfloat16 as bits. By default, all values
   * come in float32.
   */
  readonly storage?: WeightStorage | undefined;
}

/** A tensor larger than this in its file is not read ahead: it would be in memory next to another one of its size. */
const MAX_BYTES_AHEAD = 128 * 2 ** 20;

/**
 * Yields every parameter of the model, the largest first; initial values for a new head, unless the source has trained ones of that shape.
 * While one is used, the next is read into the memory of a released one.
 */
export async function* weightStream(
  model: Model,
  file: WeightSource,
  { onBytes, storage }: StreamOptions = {},
): AsyncGenerator<VariableData> {
  checkWeights(model, file);
  await checkSpareBiases(model, file);
  const weights = withStacks(model.parameters, file);
  const bytesOf = ({ name, shape }: ParameterSpec): number => weights.tensors.get(name)?.byteLength ?? FLOAT32_BYTES * elementCount(shape);
  const total = model.parameters.reduce((sum, spec) => sum + bytesOf(spec), 0);
  const order = largestFirst(model.parameters, storage);
  const spare = new SpareMemory();
  const read = (spec: ParameterSpec): Promise<StoredValues> =>
    readParameter(weights, spec, { storage, memory: bytes => spare.take(bytes) });
  let done = 0;
  onBytes?.(done, total);
  let ahead: Promise<StoredValues> | undefined;
  try {
    for (const [i, spec] of order.entries()) {
      const data = await (ahead ?? read(spec));
      const next = order[i + 1];
      ahead = next && bytesOf(next) <= MAX_BYTES_AHEAD ? read(next) : undefined;
      // A failure is reported when the tensor's turn comes.
      ahead?.catch(() => undefined);
      yield { name: spec.name, data, release: () => spare.give(data) };
      done += bytesOf(spec);
      onBytes?.(done, total);
    }
  } finally {
    // Wait, so that no read is in progress when the caller closes the file.
    await ahead?.catch(() => undefined);
  }
}

async function readParameter(
  weights: WeightSource,
  spec: ParameterSpec,
  { storage, memory }: { readonly storage: WeightStorage | undefined; readonly memory: Memory },
): Promise<StoredValues> {
  const { name, initial, shape, stack } = spec;
  const fresh = initial && !sameShape(weights.tensors.get(name)?.shape ?? [], shape) ? initialValues(spec) : undefined;
  if (fresh) return fresh;
  // The bfloat16 bits of a stack may be rounded, so they serve only a parameter that is stored as bfloat16.
  const takesBits = storage && (stack === undefined || storage.formOf(spec) === 'bfloat16');
  return (takesBits ? await weights.readBfloat16?.(name, memory) : undefined) ?? weights.readFloat32(name, memory);
}
