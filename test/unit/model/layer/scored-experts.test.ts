/**
 * Tests experts that are chosen by their scores, with a bias (LFM2, GLM-4, ERNIE 4.5) and without (Mistral 4), or by logits (Kolibri 1):
 * the choice and the weights, published configs, what is refused, and the bias.
 */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { untouched } from '../../../../trainer/adapter/apply-adapter.ts';
import { exportModel } from '../../../../trainer/artifact/export-model.ts';
import { Graph } from '../../../../trainer/graph/graph.ts';
import { assemble } from '../../../../trainer/graph/program.ts';
import { openModel } from '../../../../trainer/hub/open-model.ts';
import { methods } from '../../../../trainer/method/methods.ts';
import { placeTrained } from '../../../../trainer/method/placement.ts';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { type RoutingRule, route } from '../../../../trainer/model/layer/experts.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { Tracer } from '../../../../trainer/model/tracer.ts';
import { elementAt, required } from '../../../../trainer/narrow.ts';
import { createRandom } from '../../../../trainer/random.ts';
import { openFast } from '../../../support/engines.ts';
import { readRecord } from '../../../support/files/read-json.ts';
import { lossesByLevel } from '../../../support/golden/losses-by-level.ts';
import { temporaryFolder } from '../../../support/machine/temporary-folder.ts';
import { settingsOf } from '../../../support/models/method-settings.ts';
import { tinyAdapter } from '../../../support/models/tiny-adapter.ts';
import { floatsOf } from '../../../support/numbers/outputs.ts';

const engine = await openFast();
const folderOf = (name: string): string => join(import.meta.dirname, '..', '..', '..', 'golden', name);
const configOf = (name: string): ConfigJson => readRecord(join(folderOf(name), 'config.json'));

const [TOKENS, EXPERTS] = [40, 12];
const random = createRandom(5);
const numbers = (count: number, size: number): number[] =>
  Array.from({ length: count }, () => Math.fround(size * (2 * random.uniform() - 1)));
const logits = numbers(TOKENS * EXPERTS, 4);
const bias = numbers(EXPERTS, 0.6);

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
/** Returns the indices of the largest values, best first. */
const largest = (values: readonly number[], count: number): number[] =>
  values
    .map((value, at) => ({ value, at }))
    .sort((a, b) => b.value - a.value || a.at - b.at)
    .slice(0, count)
    .map(({ at }) => at);

/** Routes one token, expert by expert. */
function routedOf(token: number, { chosen, sumsToOne, scoring }: RoutingRule, isBiased: boolean): { ids: number[]; weights: number[] } {
  const rule = required(scoring, 'scores');
  const { of, factor, groups = { count: 1, chosen: 1 } } = rule;
  const given = logits.slice(token * EXPERTS, (token + 1) * EXPERTS);
  const total = sumOf(given.map(Math.exp));
  const scores = given.map(logit => (of === 'softmax' ? Math.exp(logit) / total : 1 / (1 + Math.exp(-logit))));
  const ranked = (rule.choosesByLogits ? given : scores).map((value, e) => value + (isBiased ? elementAt(bias, e) : 0));
  const size = EXPERTS / groups.count;
  const best = Array.from({ length: groups.count }, (_, g) => {
    const own = ranked.slice(g * size, (g + 1) * size);
    return sumOf(largest(own, 2).map(at => elementAt(own, at)));
  });
  const open = new Set(largest(best, groups.chosen));
  const ids = largest(
    ranked.map((score, e) => (open.has(Math.floor(e / size)) ? score : Number.NEGATIVE_INFINITY)),
    chosen,
  );
  const values = ids.map(e => elementAt(scores, e));
  const divisor = 'least' in rule ? Math.max(sumOf(values), rule.least) : sumOf(values) + rule.epsilon;
  return { ids, weights: values.map(value => factor * (sumsToOne ? value / divisor : value)) };
}

test.each<[string, RoutingRule, boolean]>([
  [
    'with a bias, in two of four groups',
    { chosen: 4, sumsToOne: true, scoring: { of: 'sigmoid', epsilon: 1e-20, factor: 1.5, groups: { count: 4, chosen: 2 } } },
    true,
  ],
  [
    'by a softmax, in two of four groups',
    { chosen: 4, sumsToOne: true, scoring: { of: 'softmax', epsilon: 1e-20, factor: 1.5, groups: { count: 4, chosen: 2 } } },
    false,
  ],
  [
    'by a softmax with a bias, with a least divisor that some reach',
    { chosen: 3, sumsToOne: true, scoring: { of: 'softmax', least: 0.6, factor: 1 } },
    true,
  ],
  ['by logits with a bias', { chosen: 3, sumsToOne: true, scoring: { of: 'sigmoid', epsilon: 0, factor: 1, choosesByLogits: true } }, true],
  ['with a bias', { chosen: 3, sumsToOne: true, scoring: { of: 'sigmoid', epsilon: 0.1, factor: 1 } }, true],
  ['without a bias, by weights as they are', { chosen: 3, sumsToOne: false, scoring: { of: 'sigmoid', epsilon: 1e-6, factor: 2 } }, false],
])('experts %s', async (_, rule, isBiased) => {
  const graph = new Graph();
  const given = graph.feed('bias', [EXPERTS]);
  const { ids, weights } = route(graph, graph.feed('logits', [TOKENS, EXPERTS]), rule, isBiased ? given : undefined);
  const outputs = { ids: graph.cast(ids, 'float32'), weights };
  const session = await engine.compile(assemble({ run: { graph, outputs, effects: [] } }));
  const found = await session.run('run', {
    logits: Float32Array.from(logits),
    ...(isBiased && { bias: Float32Array.from(bias) }),
  });
  await session.dispose();
  const expected = Array.from({ length: TOKENS }, (__, token) => routedOf(token, rule, isBiased));
  expect([...floatsOf(found, 'ids')]).toEqual(expected.flatMap(each => each.ids));
  const own = floatsOf(found, 'weights');
  for (const [i, weight] of expected.flatMap(each => each.weights).entries()) expect(own[i], `weight ${i}`).toBeCloseTo(weight, 5);
});

describe('published configs', () => {
  test('LFM2-8B-A1B', () => {
    const types = ['conv', 'conv', 'full_attention', 'conv'];
    const config = {
      ...{ architectures: ['Lfm2MoeForCausalLM'], bos_token_id: 1, conv_L_cache: 3, conv_bias: false, dtype: 'bfloat16', eos_token_id: 7 },
      ...{ hidden_size: 2048, initializer_range: 0.02, intermediate_size: 7168, layer_types: types, max_position_embeddings: 128000 },
      ...{ model_type: 'lfm2_moe', moe_intermediate_size: 1792, norm_eps: 1e-5, norm_topk_prob: true, num_attention_heads: 32 },
      ...{ num_dense_layers: 2, num_experts: 32, num_experts_per_tok: 4, num_hidden_layers: 4, num_key_value_heads: 8, pad_token_id: 0 },
      ...{ rope_theta: 1e6, routed_scaling_factor: 1, transformers_version: '4.57.0.dev0', use_cache: true, use_expert_bias: true },
      vocab_size: 65536,
    };
    expect(unknownConfigKeys(config)).toEqual([]);
    const { experts, convolution, mlp, tied } = decoderConfig('Lfm2MoeForCausalLM', config);
    expect(experts).toMatchObject({ count: 32, chosen: 4, sumsToOne: true, intermediateSize: 1792, layers: [false, false, true, true] });
    expect([convolution?.layers, mlp.intermediateSizes[0], tied]).toEqual([[true, true, false, true], 7168, true]);
  });

  test('GLM-4.5-Air: the layer that guesses further tokens is passed over', () => {
    const config = {
      ...{ architectures: ['Glm4MoeForCausalLM'], attention_bias: true, attention_dropout: 0, eos_token_id: [151329, 151336, 151338] },
      ...{
        first_k_dense_replace: 1,
        head_dim: 128,
        hidden_act: 'silu',
        hidden_size: 4096,
        initializer_range: 0.02,
        intermediate_size: 10944,
      },
      ...{ max_position_embeddings: 131072, model_type: 'glm4_moe', moe_intermediate_size: 1408, n_group: 1, n_routed_experts: 128 },
      ...{ n_shared_experts: 1, norm_topk_prob: true, num_attention_heads: 96, num_experts_per_tok: 8, num_hidden_layers: 3 },
      ...{ num_key_value_heads: 8, num_nextn_predict_layers: 1, pad_token_id: 151329, partial_rotary_factor: 0.5, rms_norm_eps: 1e-5 },
      ...{ rope_scaling: null, rope_theta: 1e6, routed_scaling_factor: 1, tie_word_embeddings: false, topk_group: 1 },
      ...{ torch_dtype: 'bfloat16', transformers_version: '4.54.0', use_cache: true, use_qk_norm: false, vocab_size: 151552 },
    };
    expect(unknownConfigKeys(config)).toEqual([]);
    const { attention, experts, positions } = decoderConfig('Glm4MoeForCausalLM', config);
    expect(experts).toMatchObject({ count: 128, chosen: 8, shared: { intermediateSize: 1408, gated: false }, layers: [false, true, true] });
    expect([attention.biases, attention.innerNorms]).toEqual([{ qkv: true, output: false }, undefined]);
    expect(positions[0]).toMatchObject({ features: 64, theta: 1e6 });
  });

  test('ERNIE-4.5-21B-A3B: the layer that guesses further tokens is passed over', () => {
    const config = {
      ...{ architectures: ['Ernie4_5_MoeForCausalLM'], bos_token_id: 1, eos_token_id: 2, hidden_act: 'silu', hidden_size: 2560 },
      ...{ intermediate_size: 12288, max_position_embeddings: 131072, model_type: 'ernie4_5_moe', moe_capacity: [64, 64, 64] },
      ...{ moe_gate: 'topk', moe_intermediate_size: 1536, moe_k: 6, moe_layer_end_index: 27, moe_layer_interval: 1 },
      ...{ moe_layer_start_index: 1, moe_num_experts: 64, moe_num_shared_experts: 2, moe_use_aux_free: true, num_attention_heads: 20 },
      ...{ num_hidden_layers: 28, num_key_value_heads: 4, num_nextn_predict_layers: 1, pad_token_id: 0, rms_norm_eps: 1e-5 },
      ...{
        rope_scaling: null,
        rope_theta: 500000,
        tie_word_embeddings: true,
        torch_dtype: 'bfloat16',
        use_bias: false,
        vocab_size: 103424,
      },
    };
    expect(unknownConfigKeys(config)).toEqual([]);
    const { attention, experts } = decoderConfig('Ernie4_5_MoeForCausalLM', config);
    expect(experts).toMatchObject({ count: 64, chosen: 6, shared: { intermediateSize: 3072 }, scoring: { of: 'softmax', least: 1e-12 } });
    expect(experts?.layers).toEqual([false, ...new Array(27).fill(true)]);
    expect(attention.layers[0]).toMatchObject({ kvHeads: 4, headDim: 128 });
    const listed = (changes: ConfigJson) =>
      decoderConfig('Ernie4_5_MoeForCausalLM', { ...config, num_hidden_layers: 4, ...changes }).experts;
    expect(listed({ moe_layer_end_index: 2 })?.layers).toEqual([false, true, true, false]);
    expect(listed({ moe_layer_end_index: -1, moe_layer_interval: 2 })?.layers).toEqual([false, true, false, true]);
    expect(listed({ moe_num_shared_experts: 0 })?.shared).toBeUndefined();
  });
});

test.each<[string, ConfigJson, RegExp]>([
  ['lfm2_moe', { layer_types: null }, /layer_types/],
  ['lfm2_moe', { num_experts_per_tok: 7 }, /num_experts_per_tok 7 is above num_experts 6/],
  ['lfm2_moe', { routed_scaling_factor: 0 }, /routed_scaling_factor/],
  ['glm4_moe', { n_group: 3 }, /n_group 3 does not divide n_routed_experts 8 into groups of two experts or more/],
  ['glm4_moe', { n_group: 8 }, /n_group 8 does not divide n_routed_experts 8 into groups of two experts or more/],
  ['glm4_moe', { topk_group: 5 }, /topk_group 5 is above n_group 4/],
  ['glm4_moe', { num_experts_per_tok: 5 }, /num_experts_per_tok 5 is above the 4 experts of topk_group 2 of n_group 4 groups/],
  ['glm4_moe', { n_shared_experts: 0 }, /n_shared_experts/],
  ['glm4_moe', { num_local_experts: 8 }, /num_local_experts 8 is not supported/],
  ['ernie4_5_moe', { moe_k: 7 }, /moe_k 7 is above moe_num_experts 6/],
  ['ernie4_5_moe', { use_bias: true }, /use_bias true is not supported/],
  ['ernie4_5_moe', { output_router_logits: true }, /output_router_logits true is not supported/],
])('%s %j is refused by name', (name, changes, message) => {
  expect(() => causalModel({ ...configOf(name), ...changes })).toThrow(message);
});

describe.each([
  ['lfm2_moe', 'feed_forward.expert_bias'],
  ['glm4_moe', 'mlp.gate.e_score_correction_bias'],
])('%s', (name, ending) => {
  const model = causalModel(configOf(name));
  const biases = model.parameters.filter(parameter => parameter.name.endsWith(ending));

  test('the bias of each mixture is read from its file, and no method trains it', async () => {
    expect(biases.map(({ buffer }) => buffer)).toEqual([true, true]);
    const { weights } = await openModel(folderOf(name));
    for (const { name: own, shape } of biases) expect(weights.tensors.get(own)?.shape).toEqual(shape);
    await weights.close();
    const { trainables } = methods.full.attach(model, settingsOf({ modulesToSave: ['/./'] }), new Map());
    expect(trainables.length).toBeGreaterThan(20);
    expect(trainables.filter(each => each.name.endsWith(ending))).toEqual([]);
  });
});

test.each([
  ['lfm2_moe', /feed_forward\.expert_bias$/],
  ['glm4_moe', /mlp\.gate\.(weight|e_score_correction_bias)$/],
])('a merged export of %s in bfloat16 keeps in float32 what decides between experts', async (name, kept) => {
  const adapterPath = await tinyAdapter({ engine, method: 'lora', budget: { r: 1 }, targets: ['q_proj'], base: folderOf(name) });
  const outputDir = join(await temporaryFolder(), 'out');
  const openBase = () => openModel(folderOf(name));
  await exportModel({ adapterPath, format: 'merged', type: 'bfloat16', outputDir, overwrite: false, engine, openBase });
  const { weights } = await openModel(outputDir);
  await weights.close();
  const wide = [...weights.tensors.values()].flatMap(tensor => (tensor.dtype === 'BF16' ? [] : [`${tensor.dtype} ${tensor.name}`]));
  expect(wide.length).toBeGreaterThan(0);
  expect(wide.filter(tensor => !(tensor.startsWith('F32 ') && kept.test(tensor)))).toEqual([]);
});

test.each([
  ['glm4_moe', false],
  ['lfm2_moe', true],
])('with dtype bfloat16, the router of %s multiplies in 16 bits: %s', (name, isNarrow) => {
  const model = causalModel(configOf(name));
  const { storage } = placeTrained(untouched, model, { dtype: 'bfloat16', quantize: 'none' });
  const router = required(
    model.modules.find(({ part }) => part === 'router'),
    'a router',
  );
  const graph = new Graph();
  // What a method adds is not rounded either.
  const tracer = new Tracer({ graph, ...(storage && { storage }), linearHook: (_, __, ___, y) => graph.mul(y, 2) });
  tracer.linear(router, graph.feed('x', [4, elementAt(router.weight.shape, 1)]));
  expect(graph.nodes.some(({ dtype }) => dtype === 'bfloat16')).toBe(isNarrow);
});

test('every level of recomputation trains alike, to the bit', async () => {
  const ids = Int32Array.from({ length: 48 }, (_, i) => 3 + ((i * 37) % 60));
  const losses = await lossesByLevel({ engine, model: causalModel(configOf('glm4_moe')), folder: folderOf('glm4_moe'), ids });
  for (const own of losses) expect(own).toEqual(losses[0]);
});
