/** Kernels of the wasm backend that stay in WebAssembly's memory, where tfjs's own, or tensors read and made anew, leave copies in JavaScript's. */

import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { wordOfBfloat16 } from '../../graph/types.ts';

/** The name of a kernel of our own. */
export const ROUND_TO_BFLOAT16 = 'RoundToBfloat16';

/** Arguments that tfjs gives to a kernel of one tensor. */
interface KernelCall<Attrs> {
  readonly inputs: { readonly x: tf.TensorInfo };
  readonly attrs: Attrs;
  readonly backend: BackendWasm;
}

/** Adds them; a slice in the place of tfjs's own, which copies the whole tensor out of that memory first, for every slice of it. */
export function registerWasmKernels(): void {
  register<tf.SliceAttrs>('Slice', ({ inputs, attrs, backend }) => slice(inputs.x, attrs.begin, attrs.size, backend));
  register<unknown>(ROUND_TO_BFLOAT16, ({ inputs, backend }) => roundBits(inputs.x, backend));
}

function register<Attrs>(kernelName: string, kernel: (call: KernelCall<Attrs>) => tf.TensorInfo): void {
  if (tf.getKernel(kernelName, 'wasm')) tf.unregisterKernel(kernelName, 'wasm');
  // tfjs types neither the inputs of a kernel, nor its attributes, nor its backend: they are those of the function that calls it.
  tf.registerKernel({ kernelName, backendName: 'wasm', kernelFunc: call => kernel(call as unknown as KernelCall<Attrs>) });
}

/** Rounds float32 as `toBfloat16` does, in one pass: nearest, ties to even. */
function roundBits(x: tf.TensorInfo, backend: BackendWasm): tf.TensorInfo {
  const out = backend.makeOutput(x.shape, 'float32');
  // Views are taken after the memory of the output, which may have moved them.
  const wordsOf = (tensor: tf.TensorInfo): Uint32Array => {
    const { buffer, byteOffset, length } = backend.typedArrayFromHeap(tensor);
    return new Uint32Array(buffer, byteOffset, length);
  };
  const [source, target] = [wordsOf(x), wordsOf(out)];
  for (let i = 0; i < target.length; i++) target[i] = wordOfBfloat16(source[i] ?? 0);
  return out;
}

/** Copies from one place of WebAssembly's memory to another, in as few pieces as the axes allow. */
function slice(x: tf.TensorInfo, begin: number | number[], size: number | number[], backend: BackendWasm): tf.TensorInfo {
  const [from = [], shape = []] = tf.slice_util.parseSliceParams(x, begin, size);
  const out = backend.makeOutput(shape, x.dtype);
  const count = tf.util.sizeFromShape(shape);
  if (count === 0) return out;
  // Views are taken after the memory of the output, which may have moved them.
  const [source, target] = [backend.typedArrayFromHeap(x), backend.typedArrayFromHeap(out)];
  const strides = [...tf.util.computeStrides(x.shape), 1];
  // Axes behind this one are taken whole, so that what is taken of it lies in one piece.
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
