/** The families of decoders, each a table of keys and the parts that they ask for; reads a config.json of older and newer Transformers alike. */

import { isOneOf, namesOf } from '../../../catalog/entries.ts';
import { elementAt } from '../../../narrow.ts';
import type { ConfigJson } from '../../config-json.ts';
import { type ConfigValues, contradiction, type KeyTable, readConfig, refuse } from '../../config-keys.ts';
import type { Positions } from '../../layer/rope-scaling.ts';
import type { ConfigProblem } from '../../model-spec.ts';
import { paddingRow } from '../common-keys.ts';
import type { AttentionShape, DecoderAttention, DecoderConfig } from './decoder-config.ts';
import {
  expertProblems,
  GPT_OSS_POSITIONS,
  gptOssKeys,
  gptOssMixture,
  mixtralKeys,
  mixtralMixture,
  qwen3MoeKeys,
  qwenMixture,
  qwenMixtureProblems,
} from './decoder-expert-keys.ts';
import type { DecoderExperts } from './decoder-experts.ts';
import {
  gemma2Keys,
  gemma3Keys,
  graniteKeys,
  llamaKeys,
  ministral3Keys,
  ministralKeys,
  mistralKeys,
  olmo2Keys,
  olmo3Keys,
  phi3Keys,
  qwen2Keys,
  qwen3Keys,
  type Sizes,
  smollm3Keys,
} from './decoder-keys.ts';
import { everywhere, type LayerType, layerTypes, switchedWindows, turning, type Windows, windowsOf } from './decoder-layers.ts';
import { type DecoderNames, gemmaNames, llamaNames, olmoNames, phi3Names } from './decoder-names.ts';
import { QWEN35_PART, qwen35Delta, qwen35Keys, qwen35Problems } from './delta-keys.ts';
import { gemma4, gemma4Defaults } from './gemma4.ts';
import { gemma4Keys, gemma4UnifiedKeys } from './gemma4-keys.ts';
import { type LayerTurns, type RopeContext, readRope, readRopesByLayer } from './rope-config.ts';

/** A family's properties other than its sizes; those that are left out are Llama's. */
export interface Own
  extends Partial<Pick<DecoderAttention, 'scale' | 'cap' | 'innerNorms' | 'sinks' | 'gated' | 'normsValues'>>,
    Partial<Pick<DecoderConfig, 'delta' | 'layerInputs' | 'scalesBlocks'>> {
  readonly biases: DecoderAttention['biases'];
  readonly windows: Windows;
  /** The heads of each block, for families whose blocks differ in them. */
  readonly heads?: readonly Omit<AttentionShape, 'window'>[];
  readonly mlpBias?: boolean;
  /** The features between the products of each block's MLP, for families whose blocks differ in them. */
  readonly intermediateSizes?: readonly number[];
  readonly residualDropout?: number;
  readonly activation?: string;
  readonly norms?: DecoderConfig['norms'];
  readonly multipliers?: Partial<Pick<DecoderConfig, 'embeddingMultiplier' | 'residualMultiplier' | 'logitMultiplier'>>;
  readonly logitCap?: number | undefined;
  readonly experts?: DecoderExperts;
  /** Other contradictions between keys. */
  readonly problems?: readonly ConfigProblem[];
  /** The blocks that turn queries and keys; all where not given. */
  readonly turning?: readonly boolean[];
  /** For families whose blocks turn by their type. */
  readonly turns?: LayerTurns;
}

interface Family<Keys extends KeyTable> {
  readonly family: string;
  /** Llama's where not given. */
  readonly names?: DecoderNames;
  /** Features of the family's positions that Llama's do not have. */
  readonly rope?: Partial<Pick<RopeContext, 'theta' | 'types' | 'aliases' | 'isPartial' | 'hasGrids' | 'growsQueries'>>;
  /** Settings that stand for keys that a config leaves out, where the default is no single value. */
  readonly defaults?: (config: ConfigJson) => ConfigJson;
  readonly keys: Keys;
  readonly own: (config: ConfigValues<Keys>) => Own;
}

const familyOf = <Keys extends KeyTable>(family: Family<Keys>): Family<Keys> => family;

const alike = (biased: boolean): DecoderAttention['biases'] => ({ qkv: biased, output: biased });

/** Transformers' default for a config without positions. */
const MINISTRAL3_ROPE = {
  ...{ rope_type: 'yarn', rope_theta: 1e6, factor: 16, original_max_position_embeddings: 16384, beta_fast: 32, beta_slow: 1 },
  ...{ mscale: 1, mscale_all_dim: 1, llama_4_scaling_beta: 0.1 },
} as const;

const gemma = (c: ConfigValues<typeof gemma2Keys> | ConfigValues<typeof gemma3Keys>, types: readonly LayerType[]): Own => ({
  biases: alike(c.attention_bias),
  windows: windowsOf(c, types),
  activation: c.hidden_activation,
  scale: c.query_pre_attn_scalar ** -0.5,
  cap: c.attn_logit_softcapping ?? undefined,
  logitCap: c.final_logit_softcapping ?? undefined,
  norms: { epsilon: c.rms_norm_eps, offset: 1 },
  multipliers: { embeddingMultiplier: { factor: Math.sqrt(c.hidden_size), rounded: true } },
});

const families = {
  LlamaForCausalLM: familyOf({
    family: 'llama',
    keys: llamaKeys,
    own: c => ({ biases: alike(c.attention_bias), mlpBias: c.mlp_bias, windows: everywhere(c, undefined) }),
  }),
  MistralForCausalLM: familyOf({
    family: 'mistral',
    keys: mistralKeys,
    own: c => ({ biases: alike(false), windows: everywhere(c, c.sliding_window ?? undefined) }),
  }),
  Qwen2ForCausalLM: familyOf({
    family: 'qwen2',
    keys: qwen2Keys,
    own: c => ({ biases: { qkv: true, output: false }, windows: switchedWindows(c) }),
  }),
  Qwen3ForCausalLM: familyOf({
    family: 'qwen3',
    keys: qwen3Keys,
    own: c => ({ biases: alike(c.attention_bias), innerNorms: 'heads', windows: switchedWindows(c) }),
  }),
  Qwen3_5ForCausalLM: familyOf({
    family: 'qwen3_5',
    keys: qwen35Keys,
    rope: { isPartial: true, hasGrids: true },
    defaults: () => QWEN35_PART,
    own: c => ({
      biases: alike(c.attention_bias),
      windows: everywhere(c, undefined),
      innerNorms: 'heads',
      gated: true,
      delta: qwen35Delta(c),
      norms: { epsilon: c.rms_norm_eps, offset: 1 },
      problems: qwen35Problems(c),
    }),
  }),
  Gemma2ForCausalLM: familyOf({ family: 'gemma2', names: gemmaNames, keys: gemma2Keys, own: c => gemma(c, layerTypes(c, 2)) }),
  Gemma3ForCausalLM: familyOf({
    family: 'gemma3',
    names: gemmaNames,
    keys: gemma3Keys,
    own: c => {
      const types = layerTypes(c, c.sliding_window_pattern ?? 6);
      const thetas = { full_attention: c.rope_theta ?? 1e6, sliding_attention: c.rope_local_base_freq ?? 1e4 };
      return { ...gemma(c, types), innerNorms: 'heads', turns: { types, thetas } };
    },
  }),
  Gemma4ForCausalLM: familyOf({ family: 'gemma4', names: gemmaNames, keys: gemma4Keys, defaults: gemma4Defaults, own: gemma4 }),
  Gemma4UnifiedForCausalLM: familyOf({
    ...{ family: 'gemma4_unified', names: gemmaNames, keys: gemma4UnifiedKeys, defaults: gemma4Defaults },
    own: gemma4,
  }),
  SmolLM3ForCausalLM: familyOf({
    family: 'smollm3',
    rope: { theta: 2e6 },
    keys: smollm3Keys,
    own: c => {
      const turns = turning(c);
      const hasWindows = c.use_sliding_window && Boolean(c.sliding_window);
      const typeOf = (layer: number): LayerType => (hasWindows && !turns[layer] ? 'sliding_attention' : 'full_attention');
      const types = turns.map((_, layer) => c.layer_types?.[layer] ?? typeOf(layer));
      return { biases: alike(c.attention_bias), mlpBias: c.mlp_bias, windows: windowsOf(c, types), turning: turns };
    },
  }),
  Olmo2ForCausalLM: familyOf({
    family: 'olmo2',
    names: olmoNames,
    keys: olmo2Keys,
    own: c => ({ biases: alike(c.attention_bias), innerNorms: 'whole', windows: everywhere(c, undefined) }),
  }),
  Olmo3ForCausalLM: familyOf({
    family: 'olmo3',
    names: olmoNames,
    keys: olmo3Keys,
    own: c => {
      const types = layerTypes(c, 4);
      const theta = c.rope_theta ?? 5e5;
      const turns = { types, thetas: { full_attention: theta, sliding_attention: theta } };
      return { biases: alike(c.attention_bias), innerNorms: 'whole', windows: windowsOf(c, types), turns };
    },
  }),
  Phi3ForCausalLM: familyOf({
    family: 'phi3',
    names: phi3Names,
    keys: phi3Keys,
    rope: { types: ['default', 'longrope'], aliases: { su: 'longrope', yarn: 'longrope' }, isPartial: true },
    defaults: () => ({ original_max_position_embeddings: 4096 }),
    own: c => ({ biases: alike(false), windows: everywhere(c, c.sliding_window ?? undefined), residualDropout: c.resid_pdrop }),
  }),
  MinistralForCausalLM: familyOf({
    family: 'ministral',
    keys: ministralKeys,
    own: c => {
      const usual = everywhere<LayerType>(c, c.sliding_window === null ? 'full_attention' : 'sliding_attention');
      return { biases: alike(false), windows: windowsOf(c, c.layer_types ?? usual) };
    },
  }),
  Ministral3ForCausalLM: familyOf({
    family: 'ministral3',
    keys: ministral3Keys,
    rope: { growsQueries: true },
    defaults: ({ rope_scaling: older, rope_parameters: newer }) => (older || newer ? {} : { rope_parameters: MINISTRAL3_ROPE }),
    own: c => ({ biases: alike(false), windows: everywhere(c, c.sliding_window ?? undefined) }),
  }),
  MixtralForCausalLM: familyOf({
    family: 'mixtral',
    rope: { theta: 1e6 },
    keys: mixtralKeys,
    own: c => ({ biases: alike(false), windows: everywhere(c, c.sliding_window ?? undefined), experts: mixtralMixture(c) }),
  }),
  Qwen3MoeForCausalLM: familyOf({
    family: 'qwen3_moe',
    keys: qwen3MoeKeys,
    own: c => ({
      biases: alike(c.attention_bias),
      innerNorms: 'heads',
      windows: everywhere(c, c.use_sliding_window ? (c.sliding_window ?? undefined) : undefined),
      experts: qwenMixture(c),
      problems: qwenMixtureProblems(c),
    }),
  }),
  GptOssForCausalLM: familyOf({
    family: 'gpt_oss',
    rope: { theta: 150000 },
    defaults: config => (config.rope_scaling || config.rope_parameters ? {} : { rope_parameters: GPT_OSS_POSITIONS }),
    keys: gptOssKeys,
    own: c => ({
      biases: alike(c.attention_bias),
      sinks: true,
      activation: 'silu',
      windows: windowsOf(c, layerTypes(c, 2)),
      experts: gptOssMixture(c),
    }),
  }),
  GraniteForCausalLM: familyOf({
    family: 'granite',
    keys: graniteKeys,
    own: c => ({
      biases: alike(c.attention_bias),
      mlpBias: c.mlp_bias,
      windows: everywhere(c, undefined),
      scale: c.attention_multiplier,
      multipliers: {
        embeddingMultiplier: { factor: c.embedding_multiplier, rounded: false },
        residualMultiplier: c.residual_multiplier,
        logitMultiplier: 1 / c.logits_scaling,
      },
    }),
  }),
} as const;

export type DecoderArchitecture = keyof typeof families;

export const isDecoder = (architecture: string | undefined): architecture is DecoderArchitecture =>
  isOneOf(namesOf(families), architecture);

/**
 * @param names where the file has other names than the family's
 * @throws ModelConfigError with every key that is missing, out of bounds or of an unsupported value
 */
export function decoderConfig(architecture: DecoderArchitecture, file: ConfigJson, names?: DecoderNames): DecoderConfig {
  // Its `own` is given the values of its own `keys` below, and the keys read here are those that all families share.
  const described = families[architecture] as unknown as Family<typeof llamaKeys>;
  const json = described.defaults ? { ...described.defaults(file), ...file } : file;
  const { values: c, problems } = readConfig(described.keys, architecture, json);
  const own = described.own(c);
  const kvHeads = c.num_key_value_heads ?? c.num_attention_heads;
  const headDim = c.head_dim ?? c.hidden_size / c.num_attention_heads;
  const heads = own.heads ?? everywhere(c, { kvHeads, headDim });
  const context = { architecture, maxPositions: c.max_position_embeddings, headDim, ...described.rope };
  const read = withEffect(json, described.keys);
  const rope = own.turns ? readRopesByLayer(read, context, own.turns) : everyLayer(c, readRope(read, context));
  refuse(
    [...problems, ...headProblems(c, kvHeads, headDim), ...layerProblems(c, json, own), ...ownProblems(own, json), ...rope.problems],
    architecture,
  );
  const { biases, windows, innerNorms, cap, scale = headDim ** -0.5 } = own;
  return {
    family: described.family,
    names: names ?? described.names ?? llamaNames,
    vocabularySize: c.vocab_size,
    hiddenSize: c.hidden_size,
    blocks: c.num_hidden_layers,
    maxPositions: longest(c.max_position_embeddings, rope.positions),
    attention: {
      heads: c.num_attention_heads,
      layers: windows.map((window, layer) => ({ ...elementAt(heads, layer), window: window === 'unsized' ? undefined : window })),
      dropout: c.attention_dropout ?? 0,
      biases,
      innerNorms,
      cap,
      scale,
      sinks: own.sinks ?? false,
      gated: own.gated ?? false,
      normsValues: own.normsValues ?? false,
    },
    mlp: {
      intermediateSizes: own.intermediateSizes ?? everywhere(c, c.intermediate_size),
      activation: own.activation ?? c.hidden_act,
      biased: own.mlpBias ?? false,
    },
    delta: own.delta,
    experts: own.experts,
    layerInputs: own.layerInputs,
    scalesBlocks: own.scalesBlocks ?? false,
    positions: rope.positions.map((turn, layer) => (own.turning?.[layer] === false ? undefined : turn)),
    norms: own.norms ?? { epsilon: c.rms_norm_eps, offset: 0 },
    embeddingMultiplier: { factor: 1, rounded: false },
    residualMultiplier: 1,
    residualDropout: own.residualDropout ?? 0,
    logitMultiplier: 1,
    ...own.multipliers,
    logitCap: own.logitCap,
    tied: c.tie_word_embeddings,
    paddingRow: paddingRow(c.pad_token_id, c.vocab_size),
  };
}

/** The keys that are not listed as ones without effect. */
const withEffect = (json: ConfigJson, keys: KeyTable): ConfigJson =>
  Object.fromEntries(Object.entries(json).filter(([key]) => keys[key]?.class !== 'without-effect'));

const ownProblems = ({ experts, problems = [] }: Own, json: ConfigJson): ConfigProblem[] => [
  ...problems,
  ...(experts ? expertProblems(experts, json) : []),
];

const everyLayer = (c: Sizes, { problems, ...positions }: ReturnType<typeof readRope>) => ({
  problems,
  positions: everywhere(c, positions),
});

/** Texts beyond a model's own length are what dynamic scaling is for. */
const longest = (maxPositions: number, positions: readonly Positions[]): number =>
  Math.floor(maxPositions * Math.min(...positions.map(({ scaling }) => (scaling.type === 'dynamic' ? Math.max(1, scaling.factor) : 1))));

function headProblems(c: Sizes, kvHeads: number, headDim: number): ConfigProblem[] {
  const wrong: ConfigProblem[] = [];
  if (!Number.isInteger(headDim) || headDim % 2)
    wrong.push(
      c.head_dim
        ? contradiction('head_dim', `head_dim ${headDim} is odd: rotary positions turn pairs of features`)
        : contradiction(
            'hidden_size',
            `hidden_size ${c.hidden_size} over num_attention_heads ${c.num_attention_heads} gives no even head size`,
          ),
    );
  if (c.num_attention_heads % kvHeads)
    wrong.push(
      contradiction('num_attention_heads', `num_attention_heads ${c.num_attention_heads} is no multiple of num_key_value_heads ${kvHeads}`),
    );
  return wrong;
}

function layerProblems(c: Sizes, json: ConfigJson, { windows }: Own): ConfigProblem[] {
  const wrong = ['layer_types', 'no_rope_layers'].flatMap(key => {
    const list = json[key];
    return Array.isArray(list) && list.length !== c.num_hidden_layers
      ? [contradiction(key, `${key} has ${list.length} entries for num_hidden_layers ${c.num_hidden_layers}`)]
      : [];
  });
  return [...wrong, ...windowProblems(json, windows)];
}

/** Blocks that are to have a window need its size. */
function windowProblems(json: ConfigJson, windows: Windows): ConfigProblem[] {
  const unsized = windows.filter(window => window === 'unsized').length;
  if (unsized === 0 || json.use_sliding_window === false) return [];
  const layers = Array.isArray(json.layer_types)
    ? 'layer_types has "sliding_attention"'
    : `${unsized} of the ${windows.length} layers of this family have a window`;
  return [contradiction('sliding_window', `sliding_window is null, and ${layers}: say how many tokens such a layer sees`)];
}

/** The keys of a decoder of these families. */
export const decoderKeysOf = (architecture: DecoderArchitecture): KeyTable => families[architecture].keys;
