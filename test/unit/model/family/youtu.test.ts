/** Youtu-LLM: the published config, and what is refused. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { readRecord } from '../../../support/files/read-json.ts';

const saved = readRecord(join(import.meta.dirname, '..', '..', '..', 'golden', 'youtu', 'config.json'));

test('a config with the sizes of Youtu-LLM-2B is accepted, and none of its keys is unknown', () => {
  const sizes: ConfigJson = {
    architectures: ['YoutuForCausalLM'],
    model_type: 'youtu',
    rope_theta: 1.6e6,
    embedding_initializer_range: 0.04,
  };
  expect(unknownConfigKeys({ ...saved, ...sizes })).toEqual([]);
  const config = decoderConfig('YoutuForCausalLM', sizes);
  expect(config.latent).toEqual({ queryRank: 1536, rank: 512, nopeDim: 128, ropeDim: 64, valueDim: 128 });
  expect(config.positions[0]).toMatchObject({ theta: 1.6e6, features: 64 });
  expect([config.tied, config.blocks, config.experts]).toEqual([true, 32, undefined]);
});

test.each<[ConfigJson, RegExp]>([
  [{ num_key_value_heads: 2 }, /num_key_value_heads 2 is not num_attention_heads 4/],
  [{ head_dim: 8 }, /head_dim 8 is not qk_rope_head_dim 4/],
  [{ index_topk: 64 }, /index_topk 64 is not supported/],
])('%j is refused', (changes, message) => {
  expect(() => decoderConfig('YoutuForCausalLM', { ...saved, ...changes })).toThrow(message);
});
