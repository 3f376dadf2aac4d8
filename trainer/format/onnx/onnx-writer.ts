/** Writes an ONNX model as a stream, with one tensor in memory at a time. */
import { basename } from 'node:path';
import protobuf from 'protobufjs';
import { writeDurably } from '../../files/durable-file.ts';
import { writeAt } from '../../files/write-at.ts';
import { ModelFileError } from '../model-file-error.ts';
import { ATTRIBUTE_TYPES, EXTERNAL, FIELDS, messageType, ONNX_TYPES, type OnnxType } from './onnx-schema.ts';

/** The operator set version: 18 is the oldest in which all reductions take their axes as an input. */
const OPSET = 18;
/** The format version of that operator set. */
const IR_VERSION = 8;

/** An attribute's value: plain numbers are integers, `f` marks a float. */
export type OnnxAttribute = number | readonly number[] | { readonly f: number };

export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** An input or output; a name in its shape is a size that is known only at run time. */
export interface OnnxValue {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly (number | string)[];
}

/** A tensor of the file. */
export interface OnnxTensor {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** Returns its bytes, little-endian; called once, when the tensor is written. */
  readonly data: () => Uint8Array | Promise<Uint8Array>;
}

export interface OnnxModel {
  readonly name: string;
  readonly producerVersion: string;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly nodes: readonly OnnxNode[];
  readonly tensors: readonly OnnxTensor[];
}

/** Maximum tensor bytes in the file: a protocol buffers message must be smaller than 2 GiB, and nodes and names need the rest. */
const MAX_INLINE_BYTES = 2 ** 31 - 2 ** 26;

/** Tensors up to this size are always inline: programs read shapes and scalars before they open the other file. */
const SMALL_BYTES = 1024;

/** Suffix of the name of the tensor file, as Optimum and transformers.js expect it. */
const DATA_SUFFIX = '_data';

interface Chunk {
  readonly bytes: () => Uint8Array | Promise<Uint8Array>;
  readonly length: number;
}

/**
 * Writes a model. Tensors are part of the file; if they are too large for that, all but the small ones are in a second file next to it,
 * whose name ends in `_data`. Both appear complete or not at all.
 * @param inlineBytes maximum bytes of tensors in the file itself
 * @throws ModelFileError if a tensor's bytes do not match its declared length
 */
export async function writeOnnx(path: string, model: OnnxModel, inlineBytes = MAX_INLINE_BYTES): Promise<void> {
  const total = model.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const isOutside = ({ byteLength }: OnnxTensor): boolean => total > inlineBytes && byteLength > SMALL_BYTES;
  const dataFile = `${path}${DATA_SUFFIX}`;
  let offset = 0;
  const tensors = model.tensors.map(tensor => {
    if (!isOutside(tensor)) return inlineTensor(path, tensor);
    const header = externalTensor(tensor, basename(dataFile), offset);
    offset += tensor.byteLength;
    return [header];
  });
  const outside = model.tensors.filter(isOutside);
  if (outside.length > 0)
    await writeChunks(
      dataFile,
      outside.map(tensor => dataOf(path, tensor)),
    );
  await writeChunks(path, fileOf(model, tensors));
}

function inlineTensor(path: string, tensor: OnnxTensor): Chunk[] {
  const { name, type, shape, byteLength } = tensor;
  const fields = messageType('TensorProto').encode({ dims: shape, data_type: ONNX_TYPES[type], name }).finish();
  return [exactly(fields), exactly(opening(FIELDS.rawData, byteLength)), dataOf(path, tensor)];
}

const dataOf = (path: string, { name, byteLength, data }: OnnxTensor): Chunk => ({
  length: byteLength,
  bytes: async () => checked(path, name, byteLength, await data()),
});

function externalTensor({ name, type, shape, byteLength }: OnnxTensor, location: string, offset: number): Chunk {
  const entries = Object.entries({ location, offset: String(offset), length: String(byteLength) });
  const external_data = entries.map(([key, value]) => ({ key, value }));
  const fields = { dims: shape, data_type: ONNX_TYPES[type], name, external_data, data_location: EXTERNAL };
  return exactly(messageType('TensorProto').encode(fields).finish());
}

const exactly = (bytes: Uint8Array): Chunk => ({ length: bytes.length, bytes: () => bytes });

const lengthOf = (chunks: readonly Chunk[]): number => chunks.reduce((sum, { length }) => sum + length, 0);

/** The tag and length before a bytes field. */
const opening = (field: number, length: number): Uint8Array =>
  protobuf.Writer.create()
    .uint32((field << 3) | 2)
    .uint32(length)
    .finish();

const embedded = (field: number, chunks: readonly Chunk[]): Chunk[] => [exactly(opening(field, lengthOf(chunks))), ...chunks];

function fileOf({ name, producerVersion, inputs, outputs, nodes }: OnnxModel, tensors: readonly (readonly Chunk[])[]): Chunk[] {
  const head = messageType('ModelProto')
    .encode({
      ir_version: IR_VERSION,
      producer_name: 'rowtune',
      producer_version: producerVersion,
      opset_import: [{ domain: '', version: OPSET }],
    })
    .finish();
  const graph = messageType('GraphProto')
    .encode({ name, node: nodes.map(nodeOf), input: inputs.map(valueInfo), output: outputs.map(valueInfo) })
    .finish();
  return [exactly(head), ...embedded(FIELDS.graph, [exactly(graph), ...tensors.flatMap(tensor => embedded(FIELDS.initializer, tensor))])];
}

const nodeOf = ({ op, inputs, output, attributes }: OnnxNode): object => ({
  input: inputs,
  output: [output],
  name: output,
  op_type: op,
  attribute: Object.entries(attributes).map(([name, value]) => ({ name, ...attributeOf(value) })),
});

function attributeOf(value: OnnxAttribute): object {
  if (typeof value === 'number') return { i: value, type: ATTRIBUTE_TYPES.i };
  return 'f' in value ? { f: value.f, type: ATTRIBUTE_TYPES.f } : { ints: value, type: ATTRIBUTE_TYPES.ints };
}

const valueInfo = ({ name, type, shape }: OnnxValue): object => ({
  name,
  type: {
    tensor_type: {
      elem_type: ONNX_TYPES[type],
      shape: { dim: shape.map(size => (typeof size === 'number' ? { dim_value: size } : { dim_param: size })) },
    },
  },
});

function checked(path: string, tensor: string, expected: number, data: Uint8Array): Uint8Array {
  if (data.length === expected) return data;
  throw new ModelFileError(path, [{ tensor, message: `is to have ${expected} bytes, but ${data.length} were given` }], 'Give its values.');
}

async function writeChunks(path: string, chunks: readonly Chunk[]): Promise<void> {
  await writeDurably(path, async handle => {
    let position = 0;
    for (const { bytes } of chunks) position = await writeAt(handle, await bytes(), position);
  });
}
