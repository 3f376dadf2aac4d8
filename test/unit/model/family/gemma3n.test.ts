/** Gemma 3n: published configs and defaults, what is refused, its streams, and what recompute levels keep. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { causalModel, loadModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { openFast } from '../../../support/engines.ts';
import { readRecord } from '../../../support/files/read-json.ts';
import { lossesByLevel } from '../../../support/golden/losses-by-level.ts';

const folder = join(import.meta.dirname, '..', '..', '..', 'golden', 'gemma3n');
const saved: ConfigJson = readRecord(join(folder, 'config.json'));
const read = (config: ConfigJson) => decoderConfig('Gemma3nForCausalLM', config);

/** Keys as in the text part of the files of Gemma 3n E2B. */
const text: ConfigJson = {
  activation_sparsity_pattern: Array.from({ length: 30 }, (_, layer) => (layer < 10 ? 0.95 : 0)),
  ...{ altup_active_idx: 0, altup_coef_clip: 120, altup_correct_scale: true, altup_lr_multiplier: 1, altup_num_inputs: 4 },
  ...{ attention_bias: false, attention_dropout: 0, final_logit_softcapping: 30, head_dim: 256, hidden_activation: 'gelu_pytorch_tanh' },
  ...{ hidden_size: 2048, hidden_size_per_layer_input: 256, initializer_range: 0.02, intermediate_size: Array(30).fill(8192) },
  ...{ laurel_rank: 64, max_position_embeddings: 32768, model_type: 'gemma3n_text', num_attention_heads: 8, num_hidden_layers: 30 },
  ...{ num_key_value_heads: 2, num_kv_shared_layers: 10, rms_norm_eps: 1e-6, rope_local_base_freq: 10000, rope_scaling: null },
  ...{ rope_theta: 1_000_000, sliding_window: 512, torch_dtype: 'bfloat16', use_cache: true, vocab_size: 262400 },
  vocab_size_per_layer_input: 262144,
};
const whole: ConfigJson = {
  ...{ architectures: ['Gemma3nForConditionalGeneration'], audio_config: {}, audio_soft_tokens_per_image: 188, audio_token_id: 262273 },
  ...{ boa_token_id: 256000, boi_token_id: 255999, eoa_token_id: 262272, eoi_token_id: 262144, eos_token_id: [1, 106] },
  ...{ image_token_id: 262145, initializer_range: 0.02, model_type: 'gemma3n', text_config: text, torch_dtype: 'bfloat16' },
  ...{ vision_config: {}, vision_soft_tokens_per_image: 256 },
};

test('a published config is known, its text part is read, and its defaults are those of the larger model', () => {
  expect(unknownConfigKeys(whole)).toEqual([]);
  const model = loadModel(whole);
  expect(model).toMatchObject({ blocks: 30, vocabularySize: 262400, remark: expect.stringContaining('hears no sound') });
  expect(model.parameters.map(({ name }) => name)).toContain('model.language_model.layers.0.altup.correct_output_scale');
  const { attention, mlp, positions, altUp, laurelRank, layerInputs } = read({});
  expect([altUp, laurelRank, layerInputs]).toEqual([{ streams: 4, active: 0 }, 64, { vocabularySize: 262144, width: 256 }]);
  expect(attention.layers.slice(0, 6).map(({ window }) => window)).toEqual([512, 512, 512, 512, undefined, 512]);
  expect(attention.layers.slice(18, 26).map(({ keysFrom }) => keysFrom)).toEqual([undefined, undefined, 18, 18, 18, 18, 19, 18]);
  expect([positions[0]?.theta, positions[4]?.theta]).toEqual([10_000, 1_000_000]);
  expect(mlp.intermediateSizes).toEqual(Array(35).fill(16384));
});

test('in the first ten of more than ten blocks, only gates above the quantile count', () => {
  expect(read({}).mlp.cutoffs?.map(cutoff => cutoff?.toFixed(4))).toEqual([...Array(10).fill('1.6449'), ...Array(25).fill(undefined)]);
  expect(new Set(read({ num_hidden_layers: 10, num_kv_shared_layers: 0 }).mlp.cutoffs)).toEqual(new Set([undefined]));
});

test.each<[string, ConfigJson, RegExp]>([
  ['no block makes keys for another', { num_kv_shared_layers: 3 }, /num_kv_shared_layers 3 leaves no layer of the type "full_attention"/],
  ['a list that is too short', { intermediate_size: [48, 48] }, /intermediate_size has 2 entries for num_hidden_layers 5/],
  ['sparsity of other blocks', { activation_sparsity_pattern: [0.5] }, /activation_sparsity_pattern has 1 entries for num_hidden_layers 5/],
  ['gates that never count', { activation_sparsity_pattern: [1, 0, 0, 0, 0] }, /activation_sparsity_pattern\.0/],
  ['a stream that is not there', { altup_active_idx: 4 }, /altup_active_idx 4 is none of altup_num_inputs 4 streams/],
  ['a bound that training would reach', { altup_coef_clip: 0.5 }, /altup_coef_clip 0\.5 is not supported; supported is 120/],
  ['streams that are not scaled', { altup_correct_scale: false }, /altup_correct_scale false is not supported/],
  ['texts in both directions', { use_bidirectional_attention: true }, /use_bidirectional_attention true is not supported/],
])('%s', (_, changes, message) => {
  expect(() => read({ ...saved, ...changes })).toThrow(message);
});

test('every recompute level trains alike, to the bit', async () => {
  const ids = Int32Array.from({ length: 24 }, (_, i) => 3 + ((i * 37) % 60));
  const losses = await lossesByLevel({ engine: await openFast(), model: causalModel(saved), folder, ids });
  for (const own of losses) expect(own).toEqual(losses[0]);
});
