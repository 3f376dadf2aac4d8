/** Tests that configs with the keys of the code that came with a family's first files are read as that code computes them. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { architectures } from '../../../trainer/model/architectures.ts';
import { loadModel, unknownConfigKeys } from '../../../trainer/model/load-model.ts';
import { readRecord } from '../../support/files/read-json.ts';

const configOf = (name: string) => readRecord(join(import.meta.dirname, '..', '..', 'golden', name, 'config.json'));
const today = configOf('nomic_bert_tokens');

/** Every key of nomic-embed-text-v1.5's config.json that may matter, with the sizes of the golden folder. */
const first = {
  ...{ activation_function: 'swiglu', architectures: ['NomicBertModel'], attn_pdrop: 0, bos_token_id: null, causal: false },
  ...{ dense_seq_output: true, embd_pdrop: 0, eos_token_id: null, fused_bias_fc: true, fused_dropout_add_ln: true },
  ...{ initializer_range: 0.02, layer_norm_epsilon: 1e-12, max_trained_positions: 2048, mlp_fc1_bias: false, mlp_fc2_bias: false },
  ...{ model_type: 'nomic_bert', n_embd: 16, n_head: 2, n_inner: 24, n_layer: 2, n_positions: 16, pad_vocab_size_multiple: 64 },
  ...{ parallel_block: false, parallel_block_tied_norm: false, prenorm: false, qkv_proj_bias: false, reorder_and_upcast_attn: false },
  ...{ resid_pdrop: 0, rotary_emb_base: 1000, rotary_emb_fraction: 1, rotary_emb_interleaved: false, rotary_emb_scale_base: null },
  ...{ rotary_scaling_factor: null, scale_attn_by_inverse_layer_idx: false, scale_attn_weights: true, summary_activation: null },
  ...{ summary_first_dropout: 0, summary_proj_to_labels: true, summary_type: 'cls_index', summary_use_proj: true },
  ...{ torch_dtype: 'float32', transformers_version: '4.37.2', type_vocab_size: 2, use_cache: true, use_flash_attn: true },
  ...{ use_rms_norm: false, use_xentropy: true, vocab_size: 64 },
};

const described = (config: object): string =>
  JSON.stringify(loadModel({ ...config, architectures: ['NomicBertForTokenClassification'], id2label: today.id2label }));

test('both forms of NomicBERT describe the same model', () => {
  expect(described(first)).toEqual(described(today));
  expect(unknownConfigKeys(first)).toEqual([]);
});

test.each([
  [{ activation_function: 'gelu' }, 'activation_function "gelu" is not supported; supported are "swiglu", "geglu"'],
  [{ qkv_proj_bias: undefined }, 'qkv_proj_bias true is not supported; supported is false'],
  [{ rotary_emb_fraction: undefined }, 'rotary_emb_fraction 0 is not supported; supported is 1'],
  [{ rotary_scaling_factor: 2 }, 'rotary_scaling_factor 2 is not supported'],
  [{ prenorm: true }, 'prenorm true is not supported; supported is false'],
  [{ moe_every_n_layers: 2, num_experts: 8 }, 'moe_every_n_layers 2 is not supported'],
])('%j is refused by name', (change, message) => {
  expect(() => loadModel({ ...first, ...change })).toThrow(message);
});

test("EuroBERT's first name of the pooling must agree with Transformers', which does not read it", () => {
  const { classifier_pooling: _, ...config } = configOf('eurobert');
  expect(() => loadModel({ ...config, clf_pooling: 'mean' })).toThrow('clf_pooling "mean" is not supported; supported is "late"');
  loadModel({ ...config, clf_pooling: 'mean', classifier_pooling: 'mean' });
  expect(unknownConfigKeys({ ...config, clf_pooling: 'late', hidden_dropout: 0, bos_token: '<|begin_of_text|>' })).toEqual([]);
});

/** The config.json of gte-multilingual-base, with the sizes and positions of the golden folder. */
const firstOfGte = {
  ...{
    architectures: ['NewModel'],
    attention_probs_dropout_prob: 0,
    classifier_dropout: null,
    hidden_act: 'gelu',
    hidden_dropout_prob: 0.1,
  },
  ...{ hidden_size: 16, initializer_range: 0.02, intermediate_size: 24, layer_norm_eps: 1e-12, layer_norm_type: 'layer_norm' },
  ...{ logn_attention_clip1: false, logn_attention_scale: false, max_position_embeddings: 32, model_type: 'new', num_attention_heads: 2 },
  ...{ num_hidden_layers: 2, pack_qkv: true, pad_token_id: 0, position_embedding_type: 'rope', rope_scaling: { factor: 8, type: 'ntk' } },
  ...{ rope_theta: 500, torch_dtype: 'float32', type_vocab_size: 0, unpad_inputs: false, use_memory_efficient_attention: false },
  vocab_size: 64,
};

test('both forms of GTE describe the same model', () => {
  // Without the prefixes of names, and up to the last digits of a power.
  const parts = (found: object): string =>
    JSON.stringify(found)
      .replaceAll(/"(gte|new)\./g, '"')
      .replaceAll(/(\.\d{12})\d+/g, '$1');
  const first = architectures.NewForSequenceClassification.read({ ...firstOfGte, id2label: configOf('gte').id2label }, {});
  expect(parts(first)).toEqual(parts(architectures.GteForSequenceClassification.read(configOf('gte'), {})));
  expect(unknownConfigKeys(firstOfGte)).toEqual([]);
});

test.each([
  [{ rope_scaling: { factor: 8, type: 'ntk', mixed_b: 0.5 } }, 'rope_scaling.rope_type "ntk" is not supported'],
  [{ position_embedding_type: 'absolute' }, 'position_embedding_type "absolute" is not supported; supported is "rope"'],
  [{ pack_qkv: false }, 'pack_qkv false is not supported; supported is true'],
  [{ logn_attention_scale: true }, 'logn_attention_scale true is not supported; supported is false'],
])('%j of GTE is refused by name', (change, message) => {
  expect(() => loadModel({ ...firstOfGte, ...change })).toThrow(message);
});
