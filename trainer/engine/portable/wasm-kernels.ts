/**
 * Kernels of the wasm backend that stay in the WebAssembly memory, while tfjs's own kernels, or downloading and uploading tensors, leave
 * copies in JavaScript's.
 */

import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { wordOfBfloat16 } from '../../graph/types.ts';

/** Name of our own kernel. */
export const ROUND_TO_BFLOAT16 = 'RoundToBfloat16';

/** Arguments that tfjs passes to a kernel with one tensor. */
interface KernelCall<Attrs> {
  readonly inputs: { readonly x: tf.TensorInfo };
  readonly attrs: Attrs;
  readonly backend: BackendWasm;
}

/** Registers the kernels. The slice replaces tfjs's own, which first copies the whole tensor out of that memory for every slice. */
export function registerWasmKernels(): void {
  register<tf.SliceAttrs>('Slice', ({ inputs, attrs, backend }) => slice(inputs.x, attrs.begin, attrs.size, backend));
  register<unknown>(ROUND_TO_BFLOAT16, ({ inputs, backend }) => roundBits(inputs.x, backend));
}

function register<Attrs>(kernelName: string, kernel: (call: KernelCall<Attrs>) => tf.TensorInfo): void {
  if (tf.getKernel(kernelName, 'wasm')) tf.unregisterKernel(kernelName, 'wasm');
  // tfjs does not type a kernel's inputs, attributes or backend: they are those of the function that calls it.
  tf.registerKernel({ kernelName, backendName: 'wasm', kernelFunc: call => kernel(call as unknown as KernelCall<Attrs>) });
}

/** Rounds float32 as `toBfloat16` does, in one pass: to nearest, ties to even. */
function roundBits(x: tf.TensorInfo, backend: BackendWasm): tf.TensorInfo {
  const out = backend.makeOutput(x.shape, 'float32');
  // Views are created after the output is allocated, because that may move the memory.
  const wordsOf = (tensor: tf.TensorInfo): Uint32Array => {
    const { buffer, byteOffset, length } = backend.typedArrayFromHeap(tensor);
    return new Uint32Array(buffer, byteOffset, length);
  };
  const [source, target] = [wordsOf(x), wordsOf(out)];
  for (let i = 0; i < target.length; i++) target[i] = wordOfBfloat16(source[i] ?? 0);
  return out;
}

/** Copies within the WebAssembly memory, in as few contiguous pieces as the axes allow. */
function slice(x: tf.TensorInfo, begin: number | number[], size: number | number[], backend: BackendWasm): tf.TensorInfo {
  const [from = [], shape = []] = tf.slice_util.parseSliceParams(x, begin, size);
  const out = backend.makeOutput(shape, x.dtype);
  const count = tf.util.sizeFromShape(shape);
  if (count === 0) return out;
  // Views are created after the output is allocated, because that may move the memory.
  const [source, target] = [backend.typedArrayFromHeap(x), backend.typedArrayFromHeap(out)];
  const strides = [...tf.util.computeStrides(x.shape), 1];
  // Axes after this one are copied whole, so the selected part is contiguous.
  const last = shape.findLastIndex((length, axis) => length !== x.shape[axis]);
  const piece = tf.util.sizeFromShape(shape.slice(Math.max(last, 0)));
  const at = from.map(() => 0);
  for (let done = 0; done < count; done += piece) {
    const start = from.reduce((sum, first, axis) => sum + (first + (at[axis] ?? 0)) * (strides[axis] ?? 1), 0);
    target.set(source.subarray(start, start + piece), done);
    for (let axis = last - 1; axis >= 0; axis--) {
      at[axis] = (at[axis] ?? 0) + 1;
      if ((at[axis] ?? 0) < (shape[axis] ?? 0)) break;
      at[axis] = 0;
    }
  }
  return out;
}
