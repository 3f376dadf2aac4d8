/**
 * Compares the tables of keys with what Transformers knows and reads, and what each key changed there
 * (`test/golden/scripts/make_config_keys.py`).
 */

import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { namesOf } from '../../../trainer/catalog/entries.ts';
import { classWritesText } from '../../../trainer/catalog/objectives.ts';
import { Graph } from '../../../trainer/graph/graph.ts';
import { architectures } from '../../../trainer/model/architectures.ts';
import { declareClassifierBatch } from '../../../trainer/model/classifier-batch.ts';
import type { ConfigJson } from '../../../trainer/model/config-json.ts';
import type { ArchitectureEntry } from '../../../trainer/model/family/architecture-entry.ts';
import { loadModel, unknownConfigKeys } from '../../../trainer/model/load-model.ts';
import { type AnyModel, ModelConfigError } from '../../../trainer/model/model-spec.ts';
import { Tracer } from '../../../trainer/model/tracer.ts';
import { elementAt } from '../../../trainer/narrow.ts';
import { readGoldenJson } from '../../support/files/read-json.ts';

const knownKey = z.object({
  /**
   * The results that other values change: `start` values of new layers, `shapes`, `logits`, `loss`, `gradients`, outputs in `training`; or
   * an `error`.
   */
  effects: z.array(z.string()),
  default: z.unknown().optional(),
  /** For a rate, the number of masks in one pass when the other rates are 0. */
  drops: z.number().optional(),
});
type Known = z.infer<typeof knownKey>;

const familyForm = z.object({ model: z.enum(namesOf(architectures)), keys: z.record(z.string(), knownKey) });
const fixture = readGoldenJson(
  'config_keys.json',
  z.object({ generation: z.array(z.string()), families: z.record(z.string(), familyForm) }),
);

/** Sizes for all families; each reads its own. */
const sizes = {
  ...{ vocab_size: 64, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4, max_position_embeddings: 40 },
  ...{ image_size: 16, patch_size: 8, embedding_size: 8, hidden_sizes: [16, 32], depths: [1, 2] },
};
const ALTERNATING = ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'];
/** Keys that the small sizes need, or that replace DeBERTa's unsupported default. */
const needed: Readonly<Record<string, object>> = {
  mistral: { num_key_value_heads: null },
  mixtral: { num_key_value_heads: null },
  gpt_oss: { num_key_value_heads: 2, head_dim: 8 },
  qwen2: { num_key_value_heads: null },
  qwen3: { num_key_value_heads: null },
  glm: { num_key_value_heads: 2, head_dim: 8 },
  glm4: { num_key_value_heads: 2, head_dim: 8 },
  exaone4: { num_key_value_heads: 2, layer_types: ['sliding_attention', 'full_attention'] },
  seed_oss: { num_key_value_heads: 2, head_dim: 8 },
  granitemoehybrid: { layer_types: ['mamba', 'attention'], mamba_n_heads: 4, mamba_d_head: 'auto' },
  lfm2: { num_key_value_heads: 2, layer_types: ['conv', 'full_attention'] },
  nemotron_h: { num_hidden_layers: 4, num_key_value_heads: 2, mamba_num_heads: 8, n_group: 4 },
  falcon_h1: { num_key_value_heads: 2 },
  lfm2_moe: { num_key_value_heads: 2, layer_types: ['conv', 'full_attention'] },
  lfm3: { num_key_value_heads: 2, head_dim: 8, layer_types: ['sliding_attention', 'full_attention'] },
  granite_swa: { num_key_value_heads: 2 },
  nemotron: { num_key_value_heads: null },
  hyperclovax: { attention_multiplier: null },
  glm4_moe: { num_key_value_heads: 2, head_dim: 8 },
  deepseek_v2: { num_experts_per_tok: 2 },
  deepseek_v3: { num_key_value_heads: 4 },
  glm4_moe_lite: { num_key_value_heads: 4 },
  mistral4: { num_key_value_heads: 4 },
  qwen3_5: { layer_types: ['linear_attention', 'full_attention'] },
  youtu: { num_key_value_heads: 4 },
  afmoe: { num_key_value_heads: null, head_dim: 8 },
  mellum: { head_dim: 8 },
  starcoder2: { num_key_value_heads: 2 },
  stablelm: { num_key_value_heads: null },
  vaultgemma: { num_key_value_heads: 2 },
  helium: { num_key_value_heads: 2, head_dim: 8 },
  internlm3: { num_key_value_heads: 2 },
  iquestcoder: { num_key_value_heads: 2 },
  qwen2_moe: { num_key_value_heads: 2 },
  cwm: { num_key_value_heads: 2, head_dim: 8 },
  olmo_hybrid: {
    ...{ num_key_value_heads: null, layer_types: ['linear_attention', 'full_attention'] },
    ...{ linear_num_key_heads: null, linear_num_value_heads: null, linear_key_head_dim: null, linear_value_head_dim: null },
  },
  qwen3_5_moe: { layer_types: ['linear_attention', 'full_attention'] },
  qwen3_next: { layer_types: ['linear_attention', 'full_attention'] },
  gemma3: { num_key_value_heads: 2 },
  gemma2: { num_key_value_heads: 2 },
  gemma: { num_key_value_heads: null, head_dim: 8 },
  gemma3n: { num_key_value_heads: 2, num_hidden_layers: 4, num_kv_shared_layers: 1, layer_types: ALTERNATING },
  gemma4: { num_key_value_heads: 2, num_hidden_layers: 4 },
  gemma4_unified: { num_key_value_heads: 2, num_hidden_layers: 4 },
  smollm3: { num_key_value_heads: 2, pad_token_id: 0 },
  phi3: { pad_token_id: 0 },
  ministral: { num_key_value_heads: null },
  ministral3: { num_key_value_heads: 2, head_dim: 8 },
  distilbert: {
    ...{ dim: 32, hidden_dim: 48, n_layers: 2, n_heads: 4 },
    ...{ hidden_size: undefined, num_hidden_layers: undefined, num_attention_heads: undefined },
  },
  albert: { num_hidden_layers: 4 },
  esm: { pad_token_id: 1, mask_token_id: 9, position_embedding_type: 'rotary' },
  dinov3_vit: { pos_embed_rescale: null },
  convnext: { num_stages: 2 },
  swin: { patch_size: 2, embed_dim: 16, depths: [2, 1], num_heads: [2, 4], window_size: 4 },

  convnextv2: { num_stages: 2 },
  deberta_v2: { relative_attention: true, embedding_size: undefined },
};

/** Keys for the initialization of layers, which every file has, and for a token that classifiers do not use. */
const OF_OTHER_LAYERS: Readonly<Record<string, readonly string[]>> = {
  distilbert: ['sinusoidal_pos_embds'],
  dinov2: ['layerscale_value', 'use_mask_token'],
  dinov2_with_registers: ['layerscale_value'],
  dinov3_vit: ['layerscale_value'],
  convnext: ['layer_scale_init_value'],
  modernbert: ['initializer_range', 'initializer_cutoff_factor'],
  modernbert_decoder: ['initializer_cutoff_factor'],
};

describe.each(Object.entries(fixture.families))('%s', (family, { model, keys }) => {
  const { keys: table, read }: ArchitectureEntry = architectures[model];
  const base = { architectures: [model], ...sizes, ...needed[family] };

  test('every key that Transformers knows or reads is listed', () => {
    expect([...Object.keys(keys), ...fixture.generation].filter(key => !Object.hasOwn(table, key))).toEqual([]);
  });

  test('no key that changes what is computed is listed as one without effect', () => {
    const hasNewLayers = !classWritesText(model) && family !== 'resnet';
    const isOther = (key: string) => OF_OTHER_LAYERS[family]?.includes(key);
    const isWrong = ([key, { effects }]: [string, Known]) =>
      effects.some(effect => effect !== 'error' && (effect !== 'start' || hasNewLayers)) &&
      table[key]?.class === 'without-effect' &&
      !isOther(key);
    expect(Object.entries(keys).flatMap(entry => (isWrong(entry) ? [entry[0]] : []))).toEqual([]);
  });

  test('a key that is left out means the default of Transformers, and its default is never refused', () => {
    const defaults = Object.fromEntries(
      Object.entries(keys).flatMap(([key, { default: value }]) =>
        value === undefined || value === null || Object.hasOwn(sizes, key) || DERIVED.has(key) ? [] : [[key, value]],
      ),
    );
    const settings = (config: ConfigJson) => JSON.parse(JSON.stringify(read(config, {})));
    expect(settings({ ...base, ...defaults, ...needed[family] })).toEqual(settings(base));
  });

  const rates = Object.entries(keys).filter(([, { drops }]) => drops !== undefined);
  test.each(rates)('%s drops in as many places as in Transformers', (key, { drops }) => {
    const others = Object.fromEntries(rates.map(([rate]) => [rate, 0]));
    expect(masksOf(loadModel({ ...base, relative_attention: true, pos_att_type: ['c2p', 'p2c'], ...others, [key]: 0.5 }))).toBe(drops);
  });

  test('a value that is refused is named with its key', () => {
    for (const [key, rule] of Object.entries(table)) {
      if (rule.class !== 'refused') continue;
      const build = () => loadModel({ ...base, [key]: 'something else' });
      expect(build, key).toThrow(ModelConfigError);
      expect(build, key).toThrow(`${key} "something else" is not supported`);
    }
  });
});

/** Returns the number of random masks in one forward pass of training. */
function masksOf(model: AnyModel): number {
  const graph = new Graph();
  const tracer = new Tracer({ graph, seed: graph.feed('seed', [2], 'int32') });
  for (const parameter of model.parameters) graph.declare({ ...parameter, dtype: 'float32' });
  if (model.kind === 'causal') model.hidden(tracer, { ids: graph.feed('ids', [2, 8], 'int32'), mask: { kind: 'causal' } });
  else model.logits(tracer, declareClassifierBatch(graph, model.input, { batch: 2, tokens: 8 }));
  return graph.nodes.filter(({ op }) => op === 'randomMask').length;
}

/** Defaults that Transformers derives from its own default sizes. */
const DERIVED = new Set([
  'vision_config',
  'text_config',
  'head_dim',
  'num_key_value_heads',
  'layer_types',
  'mlp_layer_types',
  'no_rope_layers',
  'layer_rope_theta',
  'activation_sparsity_pattern',
  'pooler_output_size',
  'pooler_hidden_size',
  'id2label',
  'label2id',
]);

test('Mistral and Qwen2 have as many key-value heads as Transformers gives them, unless null says as many as heads', () => {
  const heads = (architecture: string, changes: object) => {
    const model = loadModel({ architectures: [architecture], ...sizes, num_attention_heads: 16, hidden_size: 64, ...changes });
    return model.kind === 'causal' ? model.keyValues[0]?.kvHeads : undefined;
  };
  expect(heads('MistralForCausalLM', {})).toBe(8);
  expect(() => heads('Qwen2ForCausalLM', {})).toThrow('not a multiple of num_key_value_heads 32');
  expect(heads('Qwen2ForCausalLM', { num_key_value_heads: null })).toBe(16);
  expect(heads('LlamaForCausalLM', {})).toBe(16);
});

test('an older rope_scaling goes before rope_parameters, and a key that no table lists is found wherever it stands', () => {
  const config = {
    ...{ architectures: ['LlamaForCausalLM'], ...sizes, num_key_value_heads: 2 },
    ...{ rope_scaling: { type: 'wave', factor: 2, temperature: 1 }, rope_parameters: { rope_type: 'default' }, wave: 1 },
  };
  expect(() => loadModel(config)).toThrow('rope_scaling.rope_type "wave" is not supported');
  expect(unknownConfigKeys(config)).toEqual(
    [
      ...['hidden_sizes', 'depths', 'image_size', 'patch_size', 'embedding_size'].map(key => [key]),
      ['wave'],
      ['rope_scaling', 'temperature'],
    ].sort(byPlace(config)),
  );
});

/** Compares keys by their order in the config; nested keys come last. */
const byPlace = (config: object) => (a: readonly string[], b: readonly string[]) =>
  a.length - b.length || Object.keys(config).indexOf(elementAt(a, 0)) - Object.keys(config).indexOf(elementAt(b, 0));
