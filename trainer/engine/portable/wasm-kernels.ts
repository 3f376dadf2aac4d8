/** Kernels of the wasm backend that stay in WebAssembly's memory, where tfjs's own, or tensors read and made anew, leave copies in JavaScript's. */

import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { wordOfBfloat16 } from '../../graph/types.ts';

/** The name of a kernel of our own. */
export const ROUND_TO_BFLOAT16 = 'RoundToBfloat16';

/** Adds them; a slice in the place of tfjs's own, which copies the whole tensor out of that memory first, for every slice of it. */

export function registerWasmKernels(): void {
  tf.unregisterKernel('Slice', 'wasm');
  if (tf.getKernel(ROUND_TO_BFLOAT16, 'wasm')) tf.unregisterKernel(ROUND_TO_BFLOAT16, 'wasm');
  tf.registerKernel({
    kernelName: 'Slice',
    backendName: 'wasm',
    kernelFunc: ({ inputs, attrs, backend }) => {
      // tfjs types neither a kernel's backend nor its attributes: they are those of `tf.slice`.
      const { begin, size } = attrs as unknown as tf.SliceAttrs;
      return slice(inputs.x as tf.TensorInfo, begin, size, backend as BackendWasm);
    },
  });
  tf.registerKernel({
    kernelName: ROUND_TO_BFLOAT16,
    backendName: 'wasm',
    kernelFunc: ({ inputs, backend }) => roundBits(inputs.x as tf.TensorInfo, backend as BackendWasm),
  });
}

/** Rounds float32 as `toBfloat16` does, in one pass: nearest, ties to even. */
function roundBits(x: tf.TensorInfo, backend: BackendWasm): tf.TensorInfo {
  const out = backend.makeOutput(x.shape, 'float32');
  // Views are taken after the memory of the output, which may have moved them.
  const [source, target] = [x, out].map(tensor => {
    const { buffer, byteOffset, length } = backend.typedArrayFromHeap(tensor);
    return new Uint32Array(buffer, byteOffset, length);
  }) as [Uint32Array, Uint32Array];
  for (let i = 0; i < target.length; i++) target[i] = wordOfBfloat16(source[i] as number);
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
