/**
 * Blocks whose bits are not plain integers: codes into a table of sixteen values, and ternary values packed in base 3. Layouts are those of
 * ggml.
 */
import { halfValues } from '../../float-format.ts';

const u16 = (bytes: Uint8Array, at: number): number => (bytes[at] as number) | ((bytes[at + 1] as number) << 8);

/** The values of IQ4_NL and IQ4_XS: more closely spaced around 0, where most weights are. */
const UNEVEN = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
/** Twice the values of E2M1 (OCP Microscaling Formats). */
const TWICE_E2M1 = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/** Decodes sixteen bytes; byte i holds values i (low bits) and i + 16 (high bits). */
function lookUp(table: Int8Array, scale: number, bytes: Uint8Array, at: number, out: Float32Array, outAt: number): void {
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + i] as number;
    out[outAt + i] = scale * (table[q & 15] as number);
    out[outAt + i + 16] = scale * (table[q >> 4] as number);
  }
}

/** A half `d`, then 16 bytes of codes. */
export function dequantizeIQ4_NL(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  const half = halfValues();
  for (let o = outAt, b = at; o < outAt + count; o += 32, b += 18) lookUp(UNEVEN, half[u16(bytes, b)] as number, bytes, b + 2, out, o);
}

/** A half `d`, eight 6-bit scales (2 bytes of their high bits, 4 of their low ones), 128 bytes of codes: d · (scale − 32) · number. */
export function dequantizeIQ4_XS(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  const half = halfValues();
  for (let o = outAt, b = at; o < outAt + count; o += 256, b += 136) {
    const d = half[u16(bytes, b)] as number;
    const high = u16(bytes, b + 2);
    for (let part = 0; part < 8; part++) {
      const low = ((bytes[b + 4 + (part >> 1)] as number) >> (4 * (part & 1))) & 15;
      const scale = d * ((low | (((high >> (2 * part)) & 3) << 4)) - 32);
      lookUp(UNEVEN, scale, bytes, b + 8 + 16 * part, out, o + 32 * part);
    }
  }
}

/** A byte e, then 16 bytes of codes: 2^(e − 127) · E2M1 value. */
export function dequantizeMXFP4(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  for (let o = outAt, b = at; o < outAt + count; o += 32, b += 17)
    lookUp(TWICE_E2M1, 2 ** ((bytes[b] as number) - 128), bytes, b + 1, out, o);
}

/** 64 bytes of 2-bit values, a half `d`: d · (q − 1). */
export function dequantizeTQ2_0(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  const half = halfValues();
  for (let o = outAt, b = at; o < outAt + count; o += 256, b += 66) {
    const d = half[u16(bytes, b + 64)] as number;
    for (let i = 0; i < 256; i++) out[o + i] = d * ((((bytes[b + 32 * (i >> 7) + (i & 31)] as number) >> (2 * ((i >> 5) & 3))) & 3) - 1);
  }
}

/** Runs of bytes of TQ1_0, with the number of digits per byte. */
const TERNARY_RUNS = [
  { from: 0, width: 32, digits: 5 },
  { from: 32, width: 16, digits: 5 },
  { from: 48, width: 4, digits: 4 },
] as const;

/** 52 bytes of five base-3 digits each (four in the last 4 bytes), as fractions of 256, a half `d`: d · (digit − 1). */
export function dequantizeTQ1_0(bytes: Uint8Array, at: number, out: Float32Array, outAt: number, count: number): void {
  const half = halfValues();
  for (let o = outAt, b = at; o < outAt + count; o += 256, b += 54) {
    const d = half[u16(bytes, b + 52)] as number;
    let next = o;
    for (const { from, width, digits } of TERNARY_RUNS)
      for (let digit = 0, power = 1; digit < digits; digit++, power *= 3)
        for (let i = 0; i < width; i++) out[next++] = d * ((((((bytes[b + from + i] as number) * power) & 255) * 3) >> 8) - 1);
  }
}
