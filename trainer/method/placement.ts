/**
 * Places trained parameters next to weights with fewer bits: float32 masters of bfloat16 parameters, whole rows next to
 * quantized weights.
 */

import type { VariableSpec } from '../graph/graph.ts';
import type { VariableData } from '../graph/program.ts';
import { elementCount, type HostArray } from '../graph/types.ts';
import type { Model } from '../model/model-spec.ts';
import { type FloatRows, type Precision, quantizable, WeightStorage } from '../model/weight-storage.ts';
import { atLeast } from '../narrow.ts';
import { type Attachment, chosenOf, type Trainable } from './method.ts';
import { TargetError } from './targets.ts';

/**
 * The attachment for a model of this precision; names and shapes of what is trained stay, so that checkpoints and adapters do too.
 * @throws TargetError where the method trains single elements of a quantized weight, or nothing is left to quantize
 */
export function placeTrained(attachment: Attachment, model: Model, precision: Precision): Attachment {
  if (precision.dtype === 'float32' && precision.quantize === 'none') return attachment;
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
  const floatRows = new Map<string, FloatRows>();
  for (const { variable, rows, elements } of attachment.trainables) {
    if (!quantized.has(variable.name)) continue;
    if (elements || !rows)
      throw new TargetError(`${attachment.method} trains single elements of ${variable.name}, which is held as ${precision.quantize}`);
    floatRows.set(variable.name, floatRowsOf(variable, rows));
  }
  const storage = new WeightStorage({ precision, parameters: model.parameters, quantized, floatRows });
  const formOf = new Map(model.parameters.map(spec => [spec.name, storage.formOf(spec)]));
  const trainables = attachment.trainables.map(trainable => {
    const own = floatRows.get(trainable.variable.name);
    if (own) return { name: trainable.name, variable: own.values, shape: trainable.shape };
    return formOf.get(trainable.variable.name) === 'bfloat16' ? withMaster(trainable) : trainable;
  });
  const masters = new Map(trainables.flatMap(trainable => ('master' in trainable ? [[trainable.variable.name, trainable] as const] : [])));
  return {
    ...attachment,
    trainables,
    storage,
    frozen: [...(attachment.frozen ?? []), ...[...floatRows.values()].flatMap(({ rows, places }) => [rows, places])],
    *initial() {
      yield* attachment.initial();
      for (const { rows, indices, places } of floatRows.values()) {
        yield { name: rows.name, data: indices };
        yield { name: places.name, data: placesAmong(indices, places.shape[0] as number) };
      }
    },
    *derived(weight) {
      yield* attachment.derived?.(weight) ?? [];
      const own = floatRows.get(weight.name);
      if (own) yield valuesOf(own.values, weight.data, chosenRows(own));
      const trainable = masters.get(weight.name);
      if (trainable?.master) yield valuesOf(trainable.master, weight.data, trainable);
    },
  };
}

function floatRowsOf({ name, shape }: VariableSpec, rows: NonNullable<Trainable['rows']>): FloatRows {
  const [out, ...rest] = atLeast(shape, 1);
  return {
    rows: rows.variable,
    indices: rows.indices,
    values: { name: `${name}.trained`, shape: [rows.indices.length, ...rest], dtype: 'float32' },
    places: { name: `${name}.places`, shape: [out], dtype: 'int32' },
  };
}

const chosenRows = ({ rows, indices }: FloatRows): Pick<Trainable, 'rows'> => ({ rows: { variable: rows, indices } });

/** For each of `count` rows its place among `indices`, or their number. */
function placesAmong(indices: Int32Array, count: number): Int32Array {
  const places = new Int32Array(count).fill(indices.length);
  indices.forEach((row, i) => {
    places[row] = i;
  });
  return places;
}

function withMaster(trainable: Trainable): Trainable {
  const { variable, shape } = trainable;
  const master: VariableSpec = { name: `${variable.name}.master`, shape: chosenOf(trainable) ? [1, ...shape] : shape, dtype: 'float32' };
  return { ...trainable, variable: { ...variable, dtype: 'bfloat16' }, master };
}

/** The trained numbers of a weight, in float32. */
function valuesOf(
  { name, shape }: VariableSpec,
  data: HostArray | 'zeros',
  { rows, columns, elements }: Pick<Trainable, 'rows' | 'columns' | 'elements'>,
): VariableData {
  if (data === 'zeros') return { name, data };
  const values = new Float32Array(elementCount(shape));
  if (elements) for (const [i, place] of elements.indices.entries()) values[i] = data[place] as number;
  else if (rows) {
    const width = values.length / rows.indices.length;
    for (const [i, row] of rows.indices.entries()) values.set(data.subarray(row * width, (row + 1) * width), i * width);
  } else if (columns) {
    const count = columns.indices.length;
    const width = (data.length * count) / values.length;
    for (let i = 0; i < values.length; i++)
      values[i] = data[Math.floor(i / count) * width + (columns.indices[i % count] as number)] as number;
  } else values.set(data);
  return { name, data: values };
}
