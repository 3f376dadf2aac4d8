/** Uniform float32 values from PyTorch's CPU generator, so that matrices that PEFT generates from a key need not be stored. */

const WORDS = 624;
const SHIFT = 397;

/** MT19937 (Matsumoto & Nishimura 1998), one 32-bit word at a time. */
function mersenneTwister(seed: number): () => number {
  const state = new Uint32Array(WORDS);
  state[0] = seed >>> 0;
  for (let i = 1; i < WORDS; i++) {
    const before = state[i - 1] as number;
    state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
  }
  const refill = () => {
    for (let i = 0; i < WORDS; i++) {
      const y = ((state[i] as number) & 0x80000000) | ((state[(i + 1) % WORDS] as number) & 0x7fffffff);
      state[i] = (state[(i + SHIFT) % WORDS] as number) ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
  };
  let at = WORDS;
  return () => {
    if (at === WORDS) {
      refill();
      at = 0;
    }
    let y = state[at++] as number;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

export interface TorchUniform {
  /** `tensor.uniform_(-bound, bound, generator=generator)` with this many values; a call continues where the last one ended. */
  fill(count: number, bound: number): Float32Array;
}

/** `torch.Generator().manual_seed(seed)`. */
export function torchUniform(seed: number): TorchUniform {
  const word = mersenneTwister(seed);
  return {
    fill: (count, bound) => {
      const low = Math.fround(-bound);
      const width = Math.fround(Math.fround(bound) - low);
      // Uses 24 bits of each word. Product and sum are rounded once, by the array, like the fused multiply-add of current processors.
      return Float32Array.from({ length: count }, () => (word() % 2 ** 24) * 2 ** -24 * width + low);
    },
  };
}
