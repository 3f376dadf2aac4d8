/** Writes ONNX nodes: names, shared constants, and sizes that are only known when the model runs. */

import type { OnnxType } from '../../format/onnx/onnx-schema.ts';
import type { OnnxAttribute, OnnxNode, OnnxTensor } from '../../format/onnx/onnx-writer.ts';
import type { DType, HostArray } from '../../graph/types.ts';
import { GraphError } from '../../graph/types.ts';
import { fixedValue, keyOfSize, plus, type Size, sameSize } from './size.ts';

/** A value of the ONNX graph, by its name. */
export interface Value {
  readonly name: string;
  readonly shape: readonly Size[];
  readonly dtype: DType;
}

/** @throws GraphError for a type that does not occur in an exported forward pass */
export function onnxType(dtype: DType): OnnxType {
  if (dtype === 'bfloat16') throw new GraphError('bfloat16 is not written to ONNX: an export computes in float32');
  return dtype;
}

export class Emitter {
  readonly nodes: OnnxNode[] = [];
  readonly tensors: OnnxTensor[] = [];
  private readonly known = new Map<string, string>();
  /** The output of a transpose → its input and permutation. */
  private readonly transposed = new Map<string, { readonly source: string; readonly perm: readonly number[] }>();
  private readonly input: string;

  /** @param input the name of an input [batch, tokens] or [batch, …] */
  constructor(input: string) {
    this.input = input;
  }

  /** Adds a node and returns the name of its output. */
  emit(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    output = `${op}_${this.nodes.length}`,
  ): string {
    this.nodes.push({ op, inputs, output, attributes });
    return output;
  }

  /** Adds a tensor to the file. Values are in row-major order. */
  tensor(value: HostArray | BigInt64Array, type: OnnxType, shape: readonly number[]): string {
    const name = `constant_${this.tensors.length}`;
    const data = () => new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    this.tensors.push({ name, type, shape, byteLength: value.byteLength, data });
    return name;
  }

  ints(values: readonly number[]): string {
    return this.shared(`ints ${values}`, () => this.tensor(BigInt64Array.from(values, BigInt), 'int64', [values.length]));
  }

  /** A scalar with the type of the value that it is combined with. */
  scalar(value: number, dtype: DType): string {
    return this.shared(`${dtype} ${value}`, () =>
      dtype === 'int32' ? this.tensor(Int32Array.of(value), 'int32', []) : this.tensor(Float32Array.of(value), onnxType(dtype), []),
    );
  }

  cast(name: string, to: number): string {
    return this.emit('Cast', [name], { to });
  }

  reshape(x: string, shape: readonly Size[]): string {
    const fixedSizes = shape.map(fixedValue);
    const open = fixedSizes.filter(size => size === undefined).length;
    // Reshape can infer one unknown size from the others.
    const target = open === 1 && !fixedSizes.includes(0) ? this.ints(fixedSizes.map(size => size ?? -1)) : this.sizeVector(shape);
    return this.emit('Reshape', [x, target]);
  }

  /** Transposes a value. Two transposes that undo each other are dropped. */
  transpose(x: string, perm: readonly number[]): string {
    const before = this.transposed.get(x);
    if (before && perm.every((axis, i) => before.perm[axis] === i)) return before.source;
    const output = this.emit('Transpose', [x], { perm });
    this.transposed.set(output, { source: x, perm });
    return output;
  }

  /** The range of each axis from `begin` with length `size`; axes that are taken whole are left out. */
  slice(x: Value, begin: readonly Size[], size: readonly Size[]): string {
    const axes = x.shape.flatMap((whole, axis) => (sameSize(whole, size[axis] ?? []) ? [] : [axis]));
    const of = (sizes: readonly Size[]): string => this.sizeVector(axes.map(axis => sizes[axis] ?? []));
    const ends = begin.map((first, axis) => plus(first, size[axis] ?? []));
    return axes.length === 0 ? x.name : this.emit('Slice', [x.name, of(begin), of(ends), this.ints(axes)]);
  }

  /** These sizes as an int64 vector. */
  sizeVector(sizes: readonly Size[]): string {
    const values = sizes.map(fixedValue);
    if (values.every(value => value !== undefined)) return this.ints(values);
    return this.shared(`sizes ${sizes.map(keyOfSize).join()}`, () =>
      this.emit(
        'Concat',
        sizes.map(size => this.sizeOf(size)),
        { axis: 0 },
      ),
    );
  }

  /** A size of the input, int64 [1]. */
  private inputSize(axis: number): string {
    return this.shared(`axis ${axis}`, () => this.emit('Shape', [this.input], { start: axis, end: axis + 1 }));
  }

  private sizeOf(size: Size): string {
    const value = fixedValue(size);
    if (value !== undefined) return this.ints([value]);
    return this.shared(`size ${keyOfSize(size)}`, () => {
      const terms = size.map(({ factor, batch, tokens }) => {
        const factors = [
          ...Array.from({ length: batch }, () => this.inputSize(0)),
          ...Array.from({ length: tokens }, () => this.inputSize(1)),
          ...(factor === 1 && batch + tokens > 0 ? [] : [this.ints([factor])]),
        ];
        return factors.reduce((a, b) => this.emit('Mul', [a, b]));
      });
      return terms.reduce((a, b) => this.emit('Add', [a, b]));
    });
  }

  private shared(key: string, make: () => string): string {
    const found = this.known.get(key) ?? make();
    this.known.set(key, found);
    return found;
  }
}
