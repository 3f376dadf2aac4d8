/**
 * TensorFlow's NodeDef and its attributes, as plain values that saved-model.ts encodes. Field names are those of the public .proto files.
 */
import type { DType, HostArray, Shape } from '../../graph/types.ts';

/** Values of TensorFlow's `DataType` enum. */
export const DATA_TYPE: Record<DType, number> = { float32: 1, int32: 3, uint8: 4, int8: 6, bool: 10, bfloat16: 14 };

interface TensorShapeProto {
  readonly dim: readonly { readonly size: number }[];
}

export interface AttrValue {
  readonly s?: Uint8Array;
  readonly i?: number;
  readonly f?: number;
  readonly b?: boolean;
  readonly type?: number;
  readonly shape?: TensorShapeProto;
  readonly tensor?: { readonly dtype: number; readonly tensorShape: TensorShapeProto; readonly tensorContent: Uint8Array };
  readonly list?: { readonly i?: readonly number[]; readonly type?: readonly number[] };
}

export type Attributes = Readonly<Record<string, AttrValue>>;

export interface NodeDef {
  readonly name: string;
  readonly op: string;
  /** `name` for output 0, `^name` for a control input; control inputs come last. */
  readonly input: readonly string[];
  /** Device on which it runs; TensorFlow's choice if omitted. */
  readonly device?: string;
  readonly attr: Attributes;
}

export const shapeProto = (shape: Shape): TensorShapeProto => ({ dim: shape.map(size => ({ size })) });

/** Constructors of attributes, named after their content. */
export const attr = {
  type: (dtype: DType): AttrValue => ({ type: DATA_TYPE[dtype] }),
  bool: (b: boolean): AttrValue => ({ b }),
  int: (i: number): AttrValue => ({ i }),
  string: (text: string): AttrValue => ({ s: new TextEncoder().encode(text) }),
  bytes: (s: Uint8Array): AttrValue => ({ s }),
  ints: (i: readonly number[]): AttrValue => ({ list: { i } }),
  types: (dtypes: readonly DType[]): AttrValue => ({ list: { type: dtypes.map(dtype => DATA_TYPE[dtype]) } }),
  shape: (shape: Shape): AttrValue => ({ shape: shapeProto(shape) }),
  tensor: (value: HostArray, shape: Shape, dtype: DType): AttrValue => ({
    tensor: {
      dtype: DATA_TYPE[dtype],
      tensorShape: shapeProto(shape),
      tensorContent: new Uint8Array(value.buffer, value.byteOffset, value.byteLength),
    },
  }),
};
