/** The GGUF element types that are read, and the names of the others for messages. Sizes are those of ggml's block structures. */

import type { TensorDType } from '../tensor-source.ts';
import {
  dequantizeBf16,
  dequantizeF16,
  dequantizeF32,
  dequantizeQ4_0,
  dequantizeQ4_1,
  dequantizeQ5_0,
  dequantizeQ5_1,
  dequantizeQ8_0,
} from './dequantize.ts';
import { dequantizeQ4_K, dequantizeQ5_K, dequantizeQ6_K } from './dequantize-k.ts';

/** Turns whole blocks at `at` in `bytes` into `count` values at `outAt` in `out`. */
export type Dequantize = (bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number) => void;

export interface GgufType {
  readonly name: string;
  readonly dtype: TensorDType;
  readonly blockElements: number;
  readonly blockBytes: number;
  readonly dequantize: Dequantize | undefined;
}

const plain = (name: TensorDType, bytes: number, dequantize?: Dequantize): GgufType => ({
  name,
  dtype: name,
  blockElements: 1,
  blockBytes: bytes,
  dequantize,
});

const quantized = (name: string, blockElements: number, blockBytes: number, dequantize: Dequantize): GgufType => ({
  name,
  dtype: 'GGML',
  blockElements,
  blockBytes,
  dequantize,
});

/** By the number in the file. */
export const GGUF_TYPES: ReadonlyMap<number, GgufType> = new Map([
  [0, plain('F32', 4, dequantizeF32)],
  [1, plain('F16', 2, dequantizeF16)],
  [2, quantized('Q4_0', 32, 18, dequantizeQ4_0)],
  [3, quantized('Q4_1', 32, 20, dequantizeQ4_1)],
  [6, quantized('Q5_0', 32, 22, dequantizeQ5_0)],
  [7, quantized('Q5_1', 32, 24, dequantizeQ5_1)],
  [8, quantized('Q8_0', 32, 34, dequantizeQ8_0)],
  [12, quantized('Q4_K', 256, 144, dequantizeQ4_K)],
  [13, quantized('Q5_K', 256, 176, dequantizeQ5_K)],
  [14, quantized('Q6_K', 256, 210, dequantizeQ6_K)],
  [24, plain('I8', 1)],
  [25, plain('I16', 2)],
  [26, plain('I32', 4)],
  [27, plain('I64', 8)],
  [30, plain('BF16', 2, dequantizeBf16)],
]);

const OTHER_TYPES: Readonly<Record<number, string>> = {
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  28: 'F64',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
};

export const ggufTypeName = (id: number): string => GGUF_TYPES.get(id)?.name ?? OTHER_TYPES[id] ?? `type ${id}`;

export const SUPPORTED_GGUF_TYPES: string = [...GGUF_TYPES.values()].map(type => type.name).join(', ');
