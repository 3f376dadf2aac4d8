/**
 * Gemma 4: blocks with global attention have a different head size from those with a window, the last blocks read keys and values of earlier
 * ones, and the smaller models have an input per block.
 */

import type { ConfigJson } from '../../../config-json.ts';
import { contradiction, notSupported } from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import type { AttentionShape, LayerInputsConfig } from '../blocks/decoder-config.ts';
import { gemma4Experts } from '../blocks/expert-names.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import { gemmaNames } from '../blocks/names.ts';
import { gatedBy } from '../keys/expert-keys.ts';
import { type LayerType, layerTypes, windowsOf } from '../keys/layers.ts';
import { familyOf } from './family.ts';
import { type Gemma4Values, gemma4Keys, gemma4UnifiedKeys } from './gemma4-keys.ts';

/** Transformers' default for a config without positions. */
const POSITIONS = {
  sliding_attention: { rope_type: 'default', rope_theta: 1e4 },
  full_attention: { rope_type: 'proportional', partial_rotary_factor: 0.25, rope_theta: 1e6 },
} as const;

const gemma4Defaults = ({ rope_parameters: given }: ConfigJson): ConfigJson => (given ? {} : { rope_parameters: POSITIONS });

interface Gemma4Config extends Gemma4Values {
  readonly sliding_window: number;
  readonly vocab_size_per_layer_input?: number;
  readonly hidden_size_per_layer_input?: number | null | undefined;
  readonly enable_moe_block?: boolean;
  readonly num_experts?: number | null | undefined;
  readonly top_k_experts?: number | null | undefined;
  readonly moe_intermediate_size?: number | null | undefined;
}

/** The properties of the family other than its sizes: see `family.ts`. */
function ownOf(c: Gemma4Config) {
  const types = typesOf(c);
  const firstShared = c.num_hidden_layers - c.num_kv_shared_layers;
  const heads = headsOf(c, types, firstShared);
  const headDims = Object.fromEntries(heads.map(({ headDim }, layer) => [types[layer], headDim]));
  const theta = 1e4;
  const experts = expertsOf(c);
  return {
    biases: { qkv: c.attention_bias, output: c.attention_bias },
    windows: windowsOf(c, types),
    heads,
    activation: c.hidden_activation,
    intermediateSizes: types.map((_, layer) => c.intermediate_size * (c.use_double_wide_mlp && layer >= firstShared ? 2 : 1)),
    scale: 1,
    innerNorms: 'heads' as const,
    normsValues: true,
    logitCap: c.final_logit_softcapping ?? undefined,
    layerInputs: inputsOf(c),
    ...(experts && { experts }),
    scalesBlocks: true,
    multipliers: { embeddingMultiplier: { factor: Math.sqrt(c.hidden_size), rounded: true } },
    ropesByType: { types, thetas: { full_attention: theta, sliding_attention: theta }, headDims },
    problems: [...sharingProblems(c, types, firstShared), ...inputProblems(c), ...sizeProblems(c), ...headProblems(c, heads, types)],
  };
}

/** The block types: by default, every sixth block has global attention. The last block always does. */
const typesOf = (c: Gemma4Config): LayerType[] =>
  layerTypes(c, 6).map((type, layer) => (layer === c.num_hidden_layers - 1 ? 'full_attention' : type));

type Heads = Omit<AttentionShape, 'window'>;

function headsOf(c: Gemma4Config, types: readonly LayerType[], firstShared: number): Heads[] {
  const ofAll = { headDim: c.head_dim, kvHeads: c.num_key_value_heads ?? c.num_attention_heads };
  const ofFull = {
    headDim: c.global_head_dim,
    kvHeads: (c.attention_k_eq_v ? c.num_global_key_value_heads : undefined) ?? ofAll.kvHeads,
  };
  const keysFrom = sharedKeys(types, firstShared);
  return types.map((type, layer) => {
    const own = c.per_layer_config?.[String(layer)];
    const named = { headDim: own?.head_dim ?? ofAll.headDim, kvHeads: own?.num_key_value_heads ?? ofAll.kvHeads };
    const sizes = c.per_layer_config ? named : type === 'full_attention' ? ofFull : ofAll;
    return { ...sizes, keysFrom: keysFrom[layer], valuesAreKeys: c.attention_k_eq_v && type === 'full_attention' };
  });
}

/** For each block from `firstShared` on, the last block before it of the same type, whose keys and values it reads. */
export const sharedKeys = (types: readonly LayerType[], firstShared: number): (number | undefined)[] =>
  types.map((type, layer) => (layer < firstShared ? undefined : Math.max(0, types.slice(0, firstShared).lastIndexOf(type))));

/** The inputs of blocks; undefined if their width is 0. */
const inputsOf = (c: Gemma4Config): LayerInputsConfig | undefined =>
  c.hidden_size_per_layer_input && c.vocab_size_per_layer_input !== undefined
    ? { vocabularySize: c.vocab_size_per_layer_input, width: c.hidden_size_per_layer_input }
    : undefined;

/** The keys that describe the experts of a block. */
const EXPERT_KEYS = ['num_experts', 'top_k_experts', 'moe_intermediate_size'] as const;

function expertsOf(c: Gemma4Config): DecoderExperts | undefined {
  if (!c.enable_moe_block) return undefined;
  return {
    count: c.num_experts ?? 1,
    key: 'num_experts',
    chosen: c.top_k_experts ?? 1,
    chosenKey: 'top_k_experts',
    sumsToOne: true,
    intermediateSize: c.moe_intermediate_size ?? 1,
    biased: false,
    layers: Array.from({ length: c.num_hidden_layers }, () => true),
    isAdded: true,
    names: gemma4Experts,
    gated: gatedBy(c.hidden_activation),
  };
}

const sizeProblems = (c: Gemma4Config): ConfigProblem[] =>
  EXPERT_KEYS.filter(key => c.enable_moe_block && !c[key]).map(key => ({
    kind: 'invalid',
    path: ['enable_moe_block'],
    message: `enable_moe_block needs ${key}`,
  }));

export function sharingProblems(
  { num_kv_shared_layers: shared }: Pick<Gemma4Config, 'num_kv_shared_layers'>,
  types: readonly LayerType[],
  firstShared: number,
): ConfigProblem[] {
  const own = types.slice(0, Math.max(0, firstShared));
  const missing = [...new Set(types)].filter(type => !own.includes(type));
  if (shared === 0 || missing.length === 0) return [];
  const message = `num_kv_shared_layers ${shared} leaves no layer of the type "${missing.join('" or "')}" that makes keys and values for the others`;
  return [contradiction('num_kv_shared_layers', message)];
}

function inputProblems({
  vocab_size: tokens,
  vocab_size_per_layer_input: rows = tokens,
  hidden_size_per_layer_input: width,
}: Gemma4Config) {
  if (!width || rows >= tokens) return [];
  return [
    contradiction(
      'vocab_size_per_layer_input',
      `vocab_size_per_layer_input ${rows} is less than vocab_size ${tokens}: each token needs a row in both embeddings`,
    ),
  ];
}

/** The supported keys of a block. */
const PER_LAYER = ['head_dim', 'num_key_value_heads'];

function headProblems(c: Gemma4Config, heads: readonly Heads[], types: readonly LayerType[]): ConfigProblem[] {
  const others = Object.entries(c.per_layer_config ?? {}).flatMap(([layer, own]) =>
    Object.entries(own)
      .filter(([key]) => !PER_LAYER.includes(key))
      .map(([key, value]) => notSupported(['per_layer_config', layer, key], value, `${PER_LAYER.join(' and ')} of a layer`)),
  );
  const key = c.per_layer_config ? 'per_layer_config' : 'num_global_key_value_heads';
  const counts = [...new Set(heads.map(({ kvHeads }) => kvHeads))].filter(count => c.num_attention_heads % count);
  const uneven = counts.map(count =>
    contradiction(key, `num_attention_heads ${c.num_attention_heads} is not a multiple of ${count} key-value heads`),
  );
  const unlike = (['full_attention', 'sliding_attention'] as const).filter(type => {
    const ofType = heads.filter((_, layer) => types[layer] === type);
    return new Set(ofType.map(({ headDim, kvHeads }) => `${headDim} ${kvHeads}`)).size > 1;
  });
  return [
    ...others,
    ...uneven,
    ...unlike.map(type =>
      contradiction('per_layer_config', `per_layer_config gives layers of the type "${type}" heads of different sizes`),
    ),
  ];
}

export const gemma4 = familyOf({ family: 'gemma4', names: gemmaNames, keys: gemma4Keys, defaults: gemma4Defaults, own: ownOf });

export const gemma4Unified = familyOf({
  ...{ family: 'gemma4_unified', names: gemmaNames, keys: gemma4UnifiedKeys, defaults: gemma4Defaults },
  own: ownOf,
});
