/** The values of all codes of floats in 8, 6 and 4 bits. */

/** E4M3: a sign bit, four exponent bits, three fraction bits. There is no infinity, and only all ones means NaN. */
export const E4M3 = Float32Array.from({ length: 256 }, (_, code) => {
  const [sign, exponent, fraction] = [code & 128 ? -1 : 1, (code >> 3) & 15, code & 7];
  if ((code & 127) === 127) return Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -9 : (1 + fraction / 8) * 2 ** (exponent - 7));
});

/** E2M1, the codes of NVFP4: a sign bit, two exponent bits, one fraction bit. */
export const E2M1 = Float32Array.of(0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6);

/** E2M3, the codes of MXFP6: a sign bit, two exponent bits, three fraction bits. */
export const E2M3 = Float32Array.from({ length: 64 }, (_, code) => {
  const [sign, exponent, fraction] = [code & 32 ? -1 : 1, (code >> 3) & 3, code & 7];
  return sign * (exponent === 0 ? fraction / 8 : (1 + fraction / 8) * 2 ** (exponent - 1));
});

/** E8M0, the scales of microscaling formats: 2^(code − 127), and 255 is NaN. */
export const E8M0 = Float32Array.from({ length: 256 }, (_, code) => (code === 255 ? Number.NaN : 2 ** (code - 127)));
