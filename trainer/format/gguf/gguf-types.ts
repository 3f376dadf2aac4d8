/**
 * The GGUF element types that are read and written, and the names of the others for messages. Sizes are those of ggml's block structures.
 */

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
} from './blocks/dequantize.ts';
import { dequantizeIQ4_NL, dequantizeIQ4_XS, dequantizeMXFP4, dequantizeTQ1_0, dequantizeTQ2_0 } from './blocks/dequantize-codes.ts';
import { dequantizeQ2_K, dequantizeQ3_K, dequantizeQ4_K, dequantizeQ5_K, dequantizeQ6_K } from './blocks/dequantize-k.ts';
import {
  quantizeBf16,
  quantizeF16,
  quantizeF32,
  quantizeMXFP4,
  quantizeQ4_0,
  quantizeQ4_1,
  quantizeQ5_0,
  quantizeQ5_1,
  quantizeQ8_0,
} from './blocks/quantize.ts';
import { quantizeQ4_K, quantizeQ5_K, quantizeQ6_K } from './blocks/quantize-k.ts';

/** Decodes whole blocks at `at` in `bytes` into `count` values at `outAt` in `out`. */
export type Dequantize = (bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number) => void;

/** Encodes `count` values at `at` into whole blocks at `outAt` in `out`. */
export type Quantize = (values: Float32Array, at: number, count: number, out: Uint8Array, outAt: number) => void;

export interface GgufType {
  /** The type number in the file. */
  readonly id: number;
  readonly name: string;
  readonly dtype: TensorDType;
  readonly blockElements: number;
  readonly blockBytes: number;
  /** Absent for integers, which hold no weights. */
  readonly dequantize: Dequantize | undefined;
  /** Absent also for types that are read but never written. */
  readonly quantize: Quantize | undefined;
}

const plain = (id: number, name: TensorDType, blockBytes: number, dequantize?: Dequantize, quantize?: Quantize): GgufType => ({
  id,
  name,
  dtype: name,
  blockElements: 1,
  blockBytes,
  dequantize,
  quantize,
});

const quantized = (
  id: number,
  name: string,
  [blockElements, blockBytes]: readonly [number, number],
  dequantize: Dequantize,
  quantize?: Quantize,
): GgufType => ({ id, name, dtype: 'GGML', blockElements, blockBytes, dequantize, quantize });

const types: readonly GgufType[] = [
  plain(0, 'F32', 4, dequantizeF32, quantizeF32),
  plain(1, 'F16', 2, dequantizeF16, quantizeF16),
  quantized(2, 'Q4_0', [32, 18], dequantizeQ4_0, quantizeQ4_0),
  quantized(3, 'Q4_1', [32, 20], dequantizeQ4_1, quantizeQ4_1),
  quantized(6, 'Q5_0', [32, 22], dequantizeQ5_0, quantizeQ5_0),
  quantized(7, 'Q5_1', [32, 24], dequantizeQ5_1, quantizeQ5_1),
  quantized(8, 'Q8_0', [32, 34], dequantizeQ8_0, quantizeQ8_0),
  quantized(10, 'Q2_K', [256, 84], dequantizeQ2_K),
  quantized(11, 'Q3_K', [256, 110], dequantizeQ3_K),
  quantized(12, 'Q4_K', [256, 144], dequantizeQ4_K, quantizeQ4_K),
  quantized(13, 'Q5_K', [256, 176], dequantizeQ5_K, quantizeQ5_K),
  quantized(14, 'Q6_K', [256, 210], dequantizeQ6_K, quantizeQ6_K),
  quantized(20, 'IQ4_NL', [32, 18], dequantizeIQ4_NL),
  quantized(23, 'IQ4_XS', [256, 136], dequantizeIQ4_XS),
  plain(24, 'I8', 1),
  plain(25, 'I16', 2),
  plain(26, 'I32', 4),
  plain(27, 'I64', 8),
  plain(30, 'BF16', 2, dequantizeBf16, quantizeBf16),
  quantized(34, 'TQ1_0', [256, 54], dequantizeTQ1_0),
  quantized(35, 'TQ2_0', [256, 66], dequantizeTQ2_0),
  quantized(39, 'MXFP4', [32, 17], dequantizeMXFP4, quantizeMXFP4),
];

/** Types by their number in the file. */
export const GGUF_TYPES: ReadonlyMap<number, GgufType> = new Map(types.map(type => [type.id, type]));

const OTHER_TYPES: Readonly<Record<number, string>> = {
  9: 'Q8_1',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  21: 'IQ3_S',
  22: 'IQ2_S',
  28: 'F64',
  29: 'IQ1_M',
};

export const ggufTypeName = (id: number): string => GGUF_TYPES.get(id)?.name ?? OTHER_TYPES[id] ?? `type ${id}`;

export const SUPPORTED_GGUF_TYPES: string = [...GGUF_TYPES.values()].map(type => type.name).join(', ');
