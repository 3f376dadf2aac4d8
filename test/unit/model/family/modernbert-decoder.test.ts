/** ModernBERT as a decoder: published configs and defaults, its windows and positions, its head, and what is refused. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { headModules } from '../../../../trainer/method/targets.ts';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { causalModel, loadModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { readRecord } from '../../../support/files/read-json.ts';

/** Keys as in the files of Ettin's smallest decoder. */
const ettin: ConfigJson = {
  ...{ architectures: ['ModernBertDecoderForCausalLM'], attention_bias: false, attention_dropout: 0, bos_token_id: 50281 },
  ...{ classifier_activation: 'gelu', classifier_bias: false, classifier_dropout: 0, classifier_pooling: 'mean', cls_token_id: 50281 },
  ...{ decoder_bias: true, deterministic_flash_attn: false, dtype: 'float32', embedding_dropout: 0, eos_token_id: 50282 },
  ...{ global_attn_every_n_layers: 3, global_rope_theta: 160000, gradient_checkpointing: false, hidden_activation: 'gelu' },
  ...{ hidden_size: 256, initializer_cutoff_factor: 2, initializer_range: 0.02, intermediate_size: 384, layer_norm_eps: 1e-5 },
  ...{ local_attention: 128, local_rope_theta: 160000, max_position_embeddings: 7999, mlp_bias: false, mlp_dropout: 0 },
  ...{ model_type: 'modernbert-decoder', norm_bias: false, norm_eps: 1e-5, num_attention_heads: 4, num_hidden_layers: 7 },
  ...{ pad_token_id: 50283, position_embedding_type: 'sans_pos', repad_logits_with_grad: false, sep_token_id: 50282 },
  ...{ sparse_pred_ignore_index: -100, sparse_prediction: false, tie_word_embeddings: true, use_cache: true, vocab_size: 50368 },
};
const read = (config: ConfigJson) => decoderConfig('ModernBertDecoderForCausalLM', config);
const windowsOf = (config: ConfigJson) => read(config).attention.layers.map(({ window }) => window);
const thetasOf = (config: ConfigJson) => read(config).positions.map(positions => positions?.theta);

test('a published config is known, and the head is the embedding with a bias behind layers of its own', () => {
  expect(unknownConfigKeys(ettin)).toEqual([]);
  expect(windowsOf(ettin)).toEqual([undefined, 64, 64, undefined, 64, 64, undefined]);
  expect(new Set(thetasOf(ettin))).toEqual(new Set([160_000]));
  const model = causalModel(ettin);
  const names = model.modules.map(({ name }) => name);
  expect(names.slice(0, 3)).toEqual(['model.embeddings.tok_embeddings', 'model.embeddings.norm', 'model.layers.0.attn.q_proj']);
  expect(names).toContain('model.layers.1.attn_norm');
  expect(names).not.toContain('model.layers.0.attn_norm');
  expect(names.slice(-4)).toEqual(['model.final_norm', 'lm_head.dense', 'lm_head.norm', 'decoder']);
  expect(model.parameters.filter(({ name }) => name.endsWith('bias'))).toEqual([{ name: 'decoder.bias', shape: [50368] }]);
  expect(headModules(model).map(({ name }) => name)).toEqual(['model.embeddings.tok_embeddings', 'decoder']);
});

test('without keys, the values are those of Transformers', () => {
  const { hiddenSize, blocks, attention, mlp, padId, tied, headBias } = read({});
  expect([hiddenSize, blocks, attention.heads, attention.layers[0]?.kvHeads, mlp.activation]).toEqual([768, 22, 12, 12, 'gelu']);
  expect([padId, tied, headBias]).toEqual([50283, true, true]);
  expect(windowsOf({ num_hidden_layers: 4 })).toEqual([undefined, 64, 64, undefined]);
  expect(thetasOf({ num_hidden_layers: 4 })).toEqual([160_000, 10_000, 10_000, 160_000]);
});

test('a window may be stated by itself, and bases in the form of Transformers 5', () => {
  const layers = { num_hidden_layers: 2, layer_types: ['sliding_attention', 'full_attention'] };
  expect(windowsOf({ ...layers, local_attention: 9 })).toEqual([4, undefined]);
  expect(windowsOf({ ...layers, local_attention: 9, sliding_window: 3 })).toEqual([3, undefined]);
  const full = { rope_type: 'default', rope_theta: 500 };
  expect(thetasOf({ ...layers, local_rope_theta: 7, rope_parameters: { full_attention: full, sliding_attention: {} } })).toEqual([7, 500]);
});

test('each rate drops where Transformers drops', () => {
  const rates = { attention_dropout: 0.1, embedding_dropout: 0.2, mlp_dropout: 0.3 };
  expect(read(rates)).toMatchObject({
    ...{ attention: { dropout: 0.1 }, residualDropout: 0.1, embeddingDropout: 0.2, mlpDropout: 0 },
    mlp: { dropout: 0.3 },
  });
});

test('a head for whole texts has layers of its own, new ones in a model that predicts tokens', () => {
  const config = readRecord(join(import.meta.dirname, '..', '..', '..', 'golden', 'modernbert_decoder', 'config.json'));
  const model = loadModel(config, { problem: 'regression' });
  const fresh = model.parameters.flatMap(({ name, initial }) => (initial ? [[name, initial.kind]] : []));
  expect(fresh).toEqual([
    ['head.dense.weight', 'normal'],
    ['head.norm.weight', 'ones'],
    ['classifier.weight', 'normal'],
  ]);
  expect(model.modules.map(({ name }) => name)).not.toContain('lm_head.dense');
  const named = loadModel({ ...config, architectures: ['ModernBertDecoderForSequenceClassification'] });
  expect(named.parameters.filter(({ initial }) => initial)).toEqual([]);
});

test('a model of vectors has neither the head nor the layers before it', () => {
  const { modules } = loadModel(ettin, { problem: 'embedding' });
  expect(modules.at(-1)?.name).toBe('model.final_norm');
});

test.each<[ConfigJson, RegExp]>([
  [{ local_attention: 1 }, /local_attention 1 gives layers of the type "sliding_attention" a window of 0 tokens/],
  [{ local_attention: null }, /local_attention null gives layers of the type "sliding_attention" a window of 0 tokens/],
  [{ rope_scaling: { rope_type: 'linear', factor: 2 } }, /rope_scaling .* is not supported/],
  [{ rope_parameters: { full_attention: { rope_type: 'dynamic', factor: 2 } } }, /rope_type "dynamic" is not supported/],
  [{ hidden_activation: 'gated' }, /hidden_activation "gated" is not supported/],
  [{ num_attention_heads: 7 }, /hidden_size 768 over num_attention_heads 7 gives no even head size/],
])('%j is refused', (config, message) => {
  expect(() => read(config)).toThrow(message);
});
