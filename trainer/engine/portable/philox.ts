/**
 * Random bits from a counter: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). Value i depends only on
 * the seed and i, so the same seed gives the same values on every backend.
 */
const MULTIPLIER = [0xd2511f53, 0xcd9e8d57] as const;
const WEYL = [0x9e3779b9, 0xbb67ae85] as const;
const ROUNDS = 10;

/** Returns the four 32-bit words of block `counter` (a 64-bit counter of two words) under a key of two words. */
export function philox4x32(counter: readonly [number, number], key: readonly [number, number]): [number, number, number, number] {
  let [a, b, c, d] = [counter[0] >>> 0, counter[1] >>> 0, 0, 0];
  let [k0, k1] = [key[0] >>> 0, key[1] >>> 0];
  for (let round = 0; round < ROUNDS; round++) {
    const [high0, low0] = multiply(MULTIPLIER[0], a);
    const [high1, low1] = multiply(MULTIPLIER[1], c);
    [a, b, c, d] = [(high1 ^ b ^ k0) >>> 0, low1, (high0 ^ d ^ k1) >>> 0, low0];
    k0 = (k0 + WEYL[0]) >>> 0;
    k1 = (k1 + WEYL[1]) >>> 0;
  }
  return [a, b, c, d];
}

/**
 * Returns `count` entries, 1 with probability ones / 65536 and 0 otherwise, each from 16 bits, from a seed of two words. With `skip`, the
 * entries after the first `skip` of a longer mask.
 */
export function randomMask(seed: readonly [number, number], count: number, ones: number, skip = 0): Uint8Array {
  const mask = new Uint8Array(count);
  for (let block = Math.floor(skip / 8); block * 8 < skip + count; block++) {
    const words = philox4x32([block, Math.floor(block / 2 ** 32)], seed);
    for (let half = 0; half < 8; half++) {
      const at = block * 8 + half - skip;
      const word = words[half >>> 1] as number;
      if (at >= 0 && at < count) mask[at] = (half % 2 === 0 ? word & 0xffff : word >>> 16) < ones ? 1 : 0;
    }
  }
  return mask;
}

/** Returns the high and low words of the 64-bit product of two 32-bit words, computed in 16-bit halves so that nothing exceeds 2⁵³. */
function multiply(x: number, y: number): [number, number] {
  const [xHigh, xLow, yHigh, yLow] = [x >>> 16, x & 0xffff, y >>> 16, y & 0xffff];
  const low = xLow * yLow;
  const middle = xHigh * yLow + (low >>> 16);
  const cross = xLow * yHigh + (middle % 65536);
  return [(xHigh * yHigh + Math.floor(middle / 65536) + Math.floor(cross / 65536)) >>> 0, Math.imul(x, y) >>> 0];
}
