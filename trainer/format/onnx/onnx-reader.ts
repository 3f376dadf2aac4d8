/** Reads the tensors of an exported ONNX file, stored inline or in the file next to it. */
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { openByteFile, readModelFile } from '../byte-file.ts';
import { ModelFileError } from '../model-file-error.ts';
import { messageType, ONNX_TYPES } from './onnx-schema.ts';

/** Maximum size of a protocol buffers message. */
const MAX_BYTES = 2 ** 31 - 1;

const tensorSchema = z.object({
  name: z.string(),
  data_type: z.number(),
  dims: z.array(z.number()).default([]),
  raw_data: z.instanceof(Uint8Array).optional(),
  external_data: z.array(z.object({ key: z.string(), value: z.string() })).default([]),
});
const valueSchema = z.object({ name: z.string() });
const modelSchema = z.object({
  graph: z.object({ initializer: z.array(tensorSchema), input: z.array(valueSchema), output: z.array(valueSchema) }),
});

type StoredTensor = z.infer<typeof tensorSchema>;

export interface OnnxFile {
  /** Names of the inputs and outputs. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Its float32 tensors. */
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  /** @throws ModelFileError for an unknown name, or if the data is missing */
  readFloat32(name: string): Promise<Float32Array>;
}

/** @throws ModelFileError if the file is not an ONNX model */
export async function readOnnx(path: string): Promise<OnnxFile> {
  const { graph } = parseModel(path, await readModelFile(path, MAX_BYTES));
  const tensors = new Map(
    graph.initializer.filter(({ data_type }) => data_type === ONNX_TYPES.float32).map(tensor => [tensor.name, tensor]),
  );
  return {
    inputs: graph.input.map(({ name }) => name),
    outputs: graph.output.map(({ name }) => name),
    tensors: new Map([...tensors].map(([name, { dims }]) => [name, { shape: dims }])),
    readFloat32: async name => {
      const tensor = tensors.get(name);
      if (!tensor) throw new ModelFileError(path, [{ tensor: name, message: 'is not in the file' }], 'Export the model again.');
      const bytes = tensor.raw_data?.length ? tensor.raw_data : await externalBytes(path, tensor);
      const count = tensor.dims.reduce((n, d) => n * d, 1);
      if (bytes.length !== 4 * count)
        throw new ModelFileError(
          path,
          [{ tensor: name, message: `has ${bytes.length} bytes, not ${4 * count}` }],
          'Export the model again.',
        );
      // Copied, since the bytes of a message are not aligned.
      return new Float32Array(Uint8Array.from(bytes).buffer);
    },
  };
}

function parseModel(path: string, bytes: Uint8Array): z.infer<typeof modelSchema> {
  try {
    const type = messageType('ModelProto');
    return modelSchema.parse(type.toObject(type.decode(bytes), { longs: Number, arrays: true }));
  } catch (error) {
    throw new ModelFileError(
      path,
      `is no ONNX model (${error instanceof Error ? error.message : String(error)})`,
      'Export the model again.',
    );
  }
}

async function externalBytes(path: string, { external_data }: StoredTensor): Promise<Uint8Array> {
  const { location = '', offset = '0', length = '0' } = Object.fromEntries(external_data.map(({ key, value }) => [key, value]));
  const file = await openByteFile(join(dirname(path), location));
  try {
    return await file.read(Number(offset), Number(length));
  } finally {
    await file.close();
  }
}
