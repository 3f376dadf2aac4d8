/**
 * Places trained parameters next to weights with fewer bits: float32 masters of bfloat16 parameters, and rows or columns next to quantized
 * weights.
 */

import type { VariableSpec } from '../graph/graph.ts';
import type { VariableData } from '../graph/program.ts';
import { elementCount, fromBfloat16 } from '../graph/types.ts';
import type { Model } from '../model/model-spec.ts';
import { type ComputeType, type FloatPart, type Precision, quantizable, WeightStorage } from '../model/weight-storage.ts';
import { atLeast, required } from '../narrow.ts';
import { hostedWeights } from './host-weights.ts';
import { type Attachment, chosenOf, type LoadedWeight, type Trainable } from './method.ts';
import { TargetError } from './targets.ts';

/**
 * Returns the attachment for a model of this precision. Names and shapes of the trained values do not change, so checkpoints and adapters
 * do not either.
 * @param hostFrom minimum size in bytes of the block weights in host memory; undefined if there are none
 * @throws TargetError if the method trains single elements of a quantized weight, or nothing is left to quantize
 */
export function placeTrained(attachment: Attachment, model: Model, precision: Precision, hostFrom?: number): Attachment {
  if (precision.dtype === 'float32' && precision.quantize === 'none' && hostFrom === undefined) return attachment;
  const trainedOf = new Map(attachment.trainables.map(trainable => [trainable.variable.name, trainable]));
  const isWhole = (name: string): boolean => {
    const trained = trainedOf.get(name);
    return trained !== undefined && !chosenOf(trained);
  };
  const quantized = new Set(precision.quantize === 'none' ? [] : quantizable(model).filter(name => !isWhole(name)));
  if (precision.quantize !== 'none' && quantized.size === 0)
    throw new TargetError(
      `${attachment.method} trains every linear layer whole, and only frozen weights can be held as ${precision.quantize}`,
    );
  const floatParts = new Map<string, FloatPart>();
  for (const trainable of attachment.trainables) {
    const { name } = trainable.variable;
    if (!quantized.has(name)) continue;
    const part = floatPartOf(trainable);
    if (!part) throw new TargetError(`${attachment.method} trains single elements of ${name}, which is held as ${precision.quantize}`);
    floatParts.set(name, part);
  }
  const storage = new WeightStorage({ precision, parameters: model.parameters, quantized, floatParts });
  const held = withFloatParts(attachment, floatParts);
  const formOf = new Map(model.parameters.map(spec => [spec.name, storage.formOf(spec)]));
  const hostedOf = (all: readonly Trainable[]) =>
    hostFrom === undefined ? undefined : hostedWeights(model, storage, { trainables: all, from: hostFrom });
  const hostable = hostedOf([]);
  const trainables = attachment.trainables.map((trainable): Trainable => {
    const own = floatParts.get(trainable.variable.name);
    if (own) return { name: trainable.name, variable: own.values, shape: trainable.shape };
    if (formOf.get(trainable.variable.name) === 'bfloat16') return withMaster(trainable, 'bfloat16');
    return hostable?.has(trainable.variable.name) && chosenOf(trainable) ? withMaster(trainable, 'float32') : trainable;
  });
  const hosted = hostedOf(trainables);
  const masters = new Map(trainables.flatMap(trainable => (trainable.master ? [[trainable.variable.name, trainable] as const] : [])));
  return {
    ...held,
    trainables,
    storage,
    ...(hosted && { hosted }),
    *derived(weight) {
      yield* held.derived?.(weight) ?? [];
      const trainable = masters.get(weight.name);
      if (trainable?.master) yield valuesOf(trainable.master, weight, trainable);
    },
  };
}

/** The rows or columns of a weight that were trained; without either, the whole weight was. */
export type TunedPart = Pick<Trainable, 'rows' | 'columns'>;

/**
 * Returns the attachment of a tuned model that is only evaluated, with its base stored as in the run that tuned it: trained rows and
 * columns are in float32 next to a quantized weight, and a weight that was changed in other ways is not quantized.
 * @param tuned all changed weights, by name
 */
export function placeTuned(attachment: Attachment, model: Model, precision: Precision, tuned: ReadonlyMap<string, TunedPart>): Attachment {
  if (precision.dtype === 'float32' && precision.quantize === 'none') return attachment;
  const quantized = new Set<string>();
  const floatParts = new Map<string, FloatPart>();
  const shapes = new Map(model.parameters.map(({ name, shape }) => [name, shape]));
  for (const name of precision.quantize === 'none' ? [] : quantizable(model)) {
    const change = tuned.get(name);
    const part = change && floatPartOf({ variable: { name, shape: required(shapes.get(name), name), dtype: 'float32' }, ...change });
    if (part) floatParts.set(name, part);
    if (!change || part) quantized.add(name);
  }
  const storage = new WeightStorage({ precision, parameters: model.parameters, quantized, floatParts });
  return { ...withFloatParts(attachment, floatParts), storage };
}

/** Adds the variables for the parts of quantized weights that are stored in float32. */
const withFloatParts = (attachment: Attachment, floatParts: ReadonlyMap<string, FloatPart>): Attachment => ({
  ...attachment,
  frozen: [...(attachment.frozen ?? []), ...[...floatParts.values()].flatMap(({ chosen, places }) => [chosen, places])],
  *initial() {
    yield* attachment.initial();
    for (const { chosen, indices, places } of floatParts.values()) {
      yield { name: chosen.name, data: indices };
      yield { name: places.name, data: placesAmong(indices, places.shape[0] as number) };
    }
  },
  *derived(weight) {
    yield* attachment.derived?.(weight) ?? [];
    const own = floatParts.get(weight.name);
    if (own) yield valuesOf(own.values, weight, { [own.unit]: { variable: own.chosen, indices: own.indices } });
  },
});

/** The float part of a weight; undefined if neither rows nor columns are trained. */
function floatPartOf({ variable: { name, shape }, rows, columns }: TunedPart & Pick<Trainable, 'variable'>): FloatPart | undefined {
  const chosen = rows ?? columns;
  if (!chosen) return undefined;
  const [out, ...rest] = atLeast(shape, 1);
  const { indices, variable } = chosen;
  return {
    unit: rows ? 'rows' : 'columns',
    chosen: variable,
    indices,
    values: { name: `${name}.trained`, shape: rows ? [indices.length, ...rest] : [out, indices.length], dtype: 'float32' },
    places: { name: `${name}.places`, shape: [rows ? out : elementCount(rest)], dtype: 'int32' },
  };
}

/** The index of each of `count` rows or columns among `indices`, or the length of `indices` if it is not among them. */
function placesAmong(indices: Int32Array, count: number): Int32Array {
  const places = new Int32Array(count).fill(indices.length);
  indices.forEach((index, i) => {
    places[index] = i;
  });
  return places;
}

function withMaster(trainable: Trainable, dtype: ComputeType): Trainable {
  const { variable, shape } = trainable;
  const master: VariableSpec = { name: `${variable.name}.master`, shape: chosenOf(trainable) ? [1, ...shape] : shape, dtype: 'float32' };
  return { ...trainable, variable: { ...variable, dtype }, master };
}

/** The trained values of a weight, in float32. If the weight comes as bits, only the chosen ones are converted. */
function valuesOf(
  { name, shape }: VariableSpec,
  weight: LoadedWeight,
  chosen: Pick<Trainable, 'rows' | 'columns' | 'elements'>,
): VariableData {
  const { bits } = weight;
  if (bits) return { name, data: fromBfloat16(pick(new Uint16Array(elementCount(shape)), bits, chosen)) };
  const { data } = weight;
  return { name, data: data === 'zeros' ? data : pick(new Float32Array(elementCount(shape)), data, chosen) };
}

/** Fills `values` with the chosen elements of a weight, or with all of them. */
function pick<Values extends Float32Array | Uint16Array>(
  values: Values,
  data: ArrayLike<number>,
  { rows, columns, elements }: Pick<Trainable, 'rows' | 'columns' | 'elements'>,
): Values {
  if (elements) for (const [i, place] of elements.indices.entries()) values[i] = data[place] as number;
  else if (rows) {
    const width = values.length / rows.indices.length;
    rows.indices.forEach((row, i) => {
      for (let column = 0; column < width; column++) values[i * width + column] = data[row * width + column] as number;
    });
  } else if (columns) {
    const count = columns.indices.length;
    const width = (data.length * count) / values.length;
    for (let i = 0; i < values.length; i++)
      values[i] = data[Math.floor(i / count) * width + (columns.indices[i % count] as number)] as number;
  } else values.set(data);
  return values;
}
