/** The families of decoders, each a table of keys and the parts that they ask for; reads a config.json of older and newer Transformers alike. */
import { z } from 'zod';
import {
  type ConfigValues,
  computed,
  contradiction,
  type KeyTable,
  readConfig,
  refuse,
  refusedUnless,
  withoutEffect,
} from '../config-keys.ts';
import type { ConfigJson } from '../load-model.ts';
import type { ConfigProblem } from '../model-spec.ts';
import { activation, causalKeys, paddingRow, rate, size } from './common-keys.ts';
import type { DecoderAttention, DecoderConfig } from './decoder.ts';
import { llamaNames } from './decoder-names.ts';
import { readRope, rotaryKeys } from './rope-config.ts';

/** A number of heads, or the size of one; null where it follows from others. */
const atMost1024 = (usual: number | null) => computed(size(1024).nullish().default(usual));

/** What these decoders have in common. Bounds are four times the largest published sizes. */
const decoderKeys = {
  ...causalKeys,
  ...rotaryKeys,
  vocab_size: computed(size(2 ** 20)),
  hidden_size: computed(size(65536)),
  intermediate_size: computed(size(262144)),
  num_hidden_layers: computed(size(512)),
  num_attention_heads: computed(size(1024)),
  head_dim: atMost1024(null),
  max_position_embeddings: computed(size(2 ** 24)),
  rms_norm_eps: computed(z.number().positive().max(1).default(1e-6)),
  hidden_act: activation('silu'),
  tie_word_embeddings: computed(z.boolean().default(false)),
  attention_dropout: computed(rate.nullish()),
  pad_token_id: computed(z.number().int().nullish()),
  ...refusedUnless([true], 'is_causal'),
} as const;

const windowSize = computed(z.number().int().positive().nullish().default(4096));
const everyLayer =
  (type: string) =>
  ({ layer_types: types }: ConfigJson) => [Array.isArray(types) ? types.map(() => type) : []];

export const llamaKeys = {
  ...decoderKeys,
  num_key_value_heads: atMost1024(null),
  attention_bias: computed(z.boolean().default(false)),
  mlp_bias: computed(z.boolean().default(false)),
  layer_types: { class: 'refused', unless: everyLayer('full_attention'), supported: '"full_attention" in every layer' },
  ...refusedUnless([], 'sliding_window', 'attention_chunk_size'),
  ...refusedUnless([false], 'use_sliding_window'),
  ...withoutEffect('says how the same products are split', 'pretraining_tp'),
} as const satisfies KeyTable;

export const mistralKeys = {
  ...decoderKeys,
  num_key_value_heads: atMost1024(8),
  sliding_window: windowSize,
  // Transformers ignores the list here, and windows every layer: what was meant is another class of models.
  layer_types: {
    class: 'refused',
    unless: config => (config.sliding_window === null ? everyLayer('full_attention') : everyLayer('sliding_attention'))(config),
    supported: '"sliding_attention" in every layer ("full_attention" with a sliding_window of null)',
  },
  ...refusedUnless([false], 'attention_bias', 'mlp_bias'),
} as const satisfies KeyTable;

/** Of Qwen: the window is for some layers, and has a switch. */
const switchedWindow = {
  use_sliding_window: computed(z.boolean().default(false)),
  sliding_window: windowSize,
  max_window_layers: computed(z.number().int().nonnegative().default(28)),
  layer_types: computed(
    z
      .array(z.enum(['full_attention', 'sliding_attention']))
      .max(512)
      .nullish(),
  ),
} as const;

export const qwen2Keys = {
  ...decoderKeys,
  ...switchedWindow,
  num_key_value_heads: atMost1024(32),
  ...refusedUnless([true], 'attention_bias'),
  ...refusedUnless([false], 'mlp_bias', 'use_mrope'),
} as const satisfies KeyTable;

export const qwen3Keys = {
  ...decoderKeys,
  ...switchedWindow,
  num_key_value_heads: atMost1024(32),
  head_dim: atMost1024(128),
  attention_bias: computed(z.boolean().default(false)),
  ...refusedUnless([false], 'mlp_bias'),
} as const satisfies KeyTable;

/** What a family has that the sizes do not say. */
interface Own extends Pick<DecoderAttention, 'biases' | 'windows'> {
  readonly headNorms?: true;
  readonly mlpBias?: boolean;
}

interface Family<Keys extends typeof decoderKeys & KeyTable> {
  readonly family: string;
  readonly keys: Keys;
  readonly own: (config: ConfigValues<Keys>) => Own;
}

const familyOf = <Keys extends typeof decoderKeys & KeyTable>(family: Family<Keys>): Family<Keys> => family;

const everywhere = (c: Pick<Sizes, 'num_hidden_layers'>, window?: number | null): (number | undefined)[] =>
  Array.from({ length: c.num_hidden_layers }, () => window ?? undefined);

/** The blocks from `max_window_layers` on, or those that `layer_types` lists, and only where `use_sliding_window` says so. */
function switched(c: Sizes & ConfigValues<typeof switchedWindow>): (number | undefined)[] {
  if (!c.use_sliding_window) return everywhere(c);
  const isNarrow = (layer: number) => (c.layer_types ? c.layer_types[layer] === 'sliding_attention' : layer >= c.max_window_layers);
  return everywhere(c, c.sliding_window).map((window, layer) => (isNarrow(layer) ? window : undefined));
}

const families = {
  LlamaForCausalLM: familyOf({
    family: 'llama',
    keys: llamaKeys,
    own: c => ({ biases: { qkv: c.attention_bias, output: c.attention_bias }, mlpBias: c.mlp_bias, windows: everywhere(c) }),
  }),
  MistralForCausalLM: familyOf({
    family: 'mistral',
    keys: mistralKeys,
    own: c => ({ biases: { qkv: false, output: false }, windows: everywhere(c, c.sliding_window) }),
  }),
  Qwen2ForCausalLM: familyOf({
    family: 'qwen2',
    keys: qwen2Keys,
    own: c => ({ biases: { qkv: true, output: false }, windows: switched(c) }),
  }),
  Qwen3ForCausalLM: familyOf({
    family: 'qwen3',
    keys: qwen3Keys,
    own: c => ({ biases: { qkv: c.attention_bias, output: c.attention_bias }, headNorms: true, windows: switched(c) }),
  }),
} as const;

export type DecoderArchitecture = keyof typeof families;

/** @throws ModelConfigError with every key that is missing, out of bounds or of an unsupported value */
export function decoderConfig(architecture: DecoderArchitecture, json: ConfigJson): DecoderConfig {
  const { family, keys, own } = families[architecture] as unknown as Family<typeof llamaKeys>;
  const { values: c, problems } = readConfig(keys, architecture, json);
  const kvHeads = c.num_key_value_heads ?? c.num_attention_heads;
  const headDim = c.head_dim ?? c.hidden_size / c.num_attention_heads;
  const rope = readRope(json, architecture, c.max_position_embeddings);
  refuse([...problems, ...headProblems(c, kvHeads, headDim), ...layerProblems(c, json), ...rope.problems], architecture);
  const { mlpBias = false, headNorms = false, ...attention } = own(c);
  return {
    family,
    names: llamaNames,
    vocabularySize: c.vocab_size,
    hiddenSize: c.hidden_size,
    blocks: c.num_hidden_layers,
    maxPositions: c.max_position_embeddings,
    attention: { heads: c.num_attention_heads, kvHeads, headDim, dropout: c.attention_dropout ?? 0, headNorms, ...attention },
    mlp: { intermediateSize: c.intermediate_size, activation: c.hidden_act, biased: mlpBias },
    positions: { theta: rope.theta, scaling: rope.scaling },
    epsilon: c.rms_norm_eps,
    tied: c.tie_word_embeddings,
    paddingRow: paddingRow(c.pad_token_id, c.vocab_size),
  };
}

type Sizes = ConfigValues<typeof decoderKeys>;

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

const layerProblems = (c: Sizes, { layer_types: types }: ConfigJson): ConfigProblem[] =>
  Array.isArray(types) && types.length !== c.num_hidden_layers
    ? [contradiction('layer_types', `layer_types has ${types.length} entries for num_hidden_layers ${c.num_hidden_layers}`)]
    : [];

/** The keys of a decoder of these families. */
export const decoderKeysOf = (architecture: DecoderArchitecture): KeyTable => families[architecture].keys;
