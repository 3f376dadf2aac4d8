/**
 * Microscaling four-bit numbers (OCP MX v1.0): blocks of 32 E2M1 values share a power-of-two scale (E8M0). gpt-oss stores its experts this
 * way.
 */
import type { WeightSource } from './weight-source.ts';

/** The values of the sixteen codes: a sign bit, two exponent bits, one fraction bit. */
const VALUES = Float32Array.of(0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6);
const BLOCK = 32;
const BLOCK_BYTES = BLOCK / 2;

/** 2^(code − 127); the code 255 is NaN. */
const scaleOf = (code: number): number => (code === 255 ? Number.NaN : 2 ** (code - 127));

/** Decodes two values per byte, the lower four bits first. @param blocks 16 bytes per block @param scales one byte per block */
export function decodeMxfp4(blocks: Uint8Array, scales: Uint8Array): Float32Array {
  const out = new Float32Array(scales.length * BLOCK);
  for (let block = 0; block < scales.length; block++) {
    const scale = scaleOf(scales[block] as number);
    for (let i = 0; i < BLOCK_BYTES; i++) {
      const byte = blocks[block * BLOCK_BYTES + i] as number;
      out[block * BLOCK + 2 * i] = (VALUES[byte & 15] as number) * scale;
      out[block * BLOCK + 2 * i + 1] = (VALUES[byte >> 4] as number) * scale;
    }
  }
  return out;
}

export interface Mxfp4Names {
  readonly blocks: string;
  readonly scales: string;
}

/** Reads and decodes the values of some blocks. */
export async function readMxfp4(
  source: Pick<WeightSource, 'readBytes'>,
  names: Mxfp4Names,
  { begin, count }: { readonly begin: number; readonly count: number },
): Promise<Float32Array> {
  if (!source.readBytes) throw new Error(`${names.blocks}: this source gives no bytes`);
  const blocks = await source.readBytes(names.blocks, begin * BLOCK_BYTES, count * BLOCK_BYTES);
  return decodeMxfp4(blocks, await source.readBytes(names.scales, begin, count));
}
