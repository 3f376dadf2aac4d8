/** Files of torch.save (`pytorch_model.bin`) as a form of weights; nothing in them is executed. */
import type { ByteFile } from '../byte-file.ts';
import { ELEMENT_BYTES, type TensorInfo } from '../tensor-source.ts';
import type { WeightEntry } from '../weight-entry.ts';
import type { WeightFormat } from '../weight-files.ts';
import { readTorchHeader } from './torch-header.ts';
import type { TorchTensor } from './torch-state-dict.ts';

export const TORCH_FILE = 'pytorch_model.bin';
export const TORCH_INDEX_FILE = 'pytorch_model.bin.index.json';

export const TORCH: WeightFormat = {
  extension: '.bin',
  readHeader: async file => ({ entries: await readEntries(file), metadata: {} }),
};

async function readEntries(file: ByteFile): Promise<WeightEntry[]> {
  const header = await readTorchHeader(file);
  const starts = new Map<string, number>();
  for (const { key } of new Set(header.tensors.map(({ storage }) => storage))) starts.set(key, await header.storagePosition(key));
  return header.tensors.map(tensor => {
    const position = (starts.get(tensor.storage.key) ?? 0) + tensor.offset * ELEMENT_BYTES[tensor.dtype];
    const { strides } = tensor;
    return { ...torchTensorInfo(tensor), position, ...(isRowMajor(tensor) ? {} : { strides }) };
  });
}

export const torchTensorInfo = ({ name, dtype, shape }: TorchTensor): TensorInfo => ({
  name,
  dtype,
  shape,
  byteLength: shape.reduce((n, d) => n * d, ELEMENT_BYTES[dtype]),
});

/** True for a row-major tensor. The stride of a dimension of size 1 is irrelevant. */
function isRowMajor({ shape, strides }: TorchTensor): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 1;
    if (size !== 1 && strides[axis] !== expected) return false;
    expected *= size;
  }
  return true;
}
