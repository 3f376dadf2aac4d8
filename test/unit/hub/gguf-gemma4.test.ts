/** Tests the metadata of Gemma 4's GGUF files: what a file states per block, and what it states wrongly. */
import { describe, expect, test } from 'vitest';
import { ggufConfig } from '../../../trainer/format/gguf/gguf-config.ts';
import type { GgufValue } from '../../../trainer/format/gguf/gguf-cursor.ts';

const UNROTATED_DIVISOR = 1e30;
const BLOCKS = 2;

const configOf = (changes: Readonly<Record<string, GgufValue>> = {}, ropeFactors?: Float32Array) => {
  const own: Readonly<Record<string, GgufValue>> = {
    ...{ embedding_length: 64, feed_forward_length: 64, context_length: 64, block_count: BLOCKS },
    ...{ 'attention.head_count': 4, 'attention.layer_norm_rms_epsilon': 1e-6, 'attention.key_length': 16, 'attention.key_length_swa': 8 },
    ...{ 'attention.sliding_window': 32, 'attention.sliding_window_pattern': [true, false], ...changes },
  };
  const metadata = new Map<string, GgufValue>([['general.architecture', 'gemma4']]);
  for (const [key, value] of Object.entries(own)) metadata.set(`gemma4.${key}`, value);
  const header = { version: 3, metadata, tensors: [] };
  return ggufConfig({ path: 'x.gguf', header, tensors: new Map(), ropeFactors, ropeFactorsByLength: undefined });
};

const turnedBy = (...factors: number[]): Float32Array => Float32Array.from({ length: 8 }, (_, pair) => factors[pair] ?? UNROTATED_DIVISOR);

describe('a GGUF file of Gemma 4', () => {
  test.each([
    ['without factors, all pairs turn', undefined, { factor: 1, partial_rotary_factor: 1 }],
    ['the first pairs turn', turnedBy(1, 1), { factor: 1, partial_rotary_factor: 0.25 }],
    ['they turn more slowly', turnedBy(8, 8, 8, 8), { factor: 8, partial_rotary_factor: 0.5 }],
  ])('%s', (_, factors, positions) => {
    expect(configOf({}, factors)).toMatchObject({
      ...{ head_dim: 8, global_head_dim: 16, layer_types: ['sliding_attention', 'full_attention'], sliding_window: 32 },
      rope_parameters: { full_attention: { rope_type: 'proportional', ...positions }, sliding_attention: { rope_type: 'default' } },
    });
  });

  test.each([
    ['factors that differ', turnedBy(1, 2)],
    ['pairs that turn behind others that do not', turnedBy(1, UNROTATED_DIVISOR, 1)],
    ['factors of a head of another size', new Float32Array(4).fill(1)],
  ])('%s are refused, since they are not computed', (_, factors) => {
    expect(() => configOf({}, factors)).toThrow(
      /rope_freqs\.weight is not one factor for the first pairs of 8, and 1e\+?30 for the others/,
    );
  });

  test.each([
    ['a number', 6],
    ['a list of another length', [true, true, false]],
    ['no blocks', []],
  ])('a pattern of windows that is %s is refused: which blocks have one would be guessed', (_, pattern) => {
    expect(() => configOf({ 'attention.sliding_window_pattern': pattern })).toThrow(
      /sliding_window_pattern is not a list .* of the 2 blocks/,
    );
  });

  test.each(['feed_forward_length', 'attention.head_count_kv'])('a %s of 0 for the first block is refused', key => {
    expect(() => configOf({ [key]: [0, 64] })).toThrow(`gemma4.${key} is 0 for the first block, not a positive number`);
  });

  test('a size of a head beyond all bounds allocates nothing', () => {
    expect(configOf({ 'attention.key_length': 2 ** 32 - 1, 'attention.value_length': 2 ** 32 - 1 })).toMatchObject({
      global_head_dim: 2 ** 32 - 1,
    });
  });
});
