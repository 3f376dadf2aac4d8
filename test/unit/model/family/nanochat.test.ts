/** NanoChat: published configs and defaults, its norms without weights, and what is refused. */
import { expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { loadModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';

/** Keys as Transformers' conversion writes them for the model of depth 20, with the older names of its first code. */
const d20: ConfigJson = {
  ...{
    architectures: ['NanoChatForCausalLM'],
    attention_bias: false,
    attention_dropout: 0,
    dtype: 'bfloat16',
    final_logit_softcapping: 15,
  },
  ...{ hidden_act: 'relu2', hidden_size: 1280, initializer_range: 0.02, intermediate_size: 5120, logits_soft_cap: 15 },
  ...{ max_position_embeddings: 2048, model_type: 'nanochat', num_attention_heads: 10, num_hidden_layers: 20, num_key_value_heads: 10 },
  ...{ qkv_bias: false, rms_norm_eps: 1e-6, rope_parameters: { rope_theta: 10000, rope_type: 'default' }, tie_word_embeddings: false },
  ...{ use_cache: true, vocab_size: 65536 },
};
const read = (config: ConfigJson) => decoderConfig('NanoChatForCausalLM', config);

test('a published config is known, and no norm has a weight', () => {
  expect(unknownConfigKeys(d20)).toEqual([]);
  expect(read(d20)).toMatchObject({
    names: { embeddingNorm: 'model.norm' },
    logitCap: 15,
    attention: { rotatesBackwards: true, innerNorms: 'rotated heads' },
  });
  const model = loadModel(d20);
  expect(model.modules.filter(({ kind }) => kind === 'norm')).toEqual([]);
  expect(model.modules.slice(0, 7).map(({ name }) => name)).toEqual([
    'model.embed_tokens',
    ...['q_proj', 'k_proj', 'v_proj', 'o_proj'].map(name => `model.layers.0.self_attn.${name}`),
    ...['fc1', 'fc2'].map(name => `model.layers.0.mlp.${name}`),
  ]);
});

test('without keys, the sizes are those of Transformers, and a cap of null is none', () => {
  const { hiddenSize, blocks, attention, mlp, padId, logitCap, tied } = read({});
  expect([hiddenSize, blocks, attention.heads, attention.layers[0]?.kvHeads, mlp.activation]).toEqual([768, 12, 6, 6, 'relu2']);
  expect([padId, logitCap, tied]).toEqual([1, 15, false]);
  expect(read({ final_logit_softcapping: null }).logitCap).toBeUndefined();
});

test.each<[ConfigJson, RegExp]>([
  [{ sliding_window: 1024 }, /sliding_window 1024 is not supported/],
  [{ num_key_value_heads: 4 }, /num_attention_heads 6 is not a multiple of num_key_value_heads 4/],
  [{ hidden_act: 'gated' }, /hidden_act "gated" is not supported/],
])('%j is refused', (config, message) => {
  expect(() => read(config)).toThrow(message);
});
