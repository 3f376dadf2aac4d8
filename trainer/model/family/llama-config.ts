/** Reads the config.json of a Llama-like model, of older and newer Transformers alike. */
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
import type { LlamaConfig } from './llama.ts';
import { readRope, rotaryKeys } from './rope-config.ts';

/** What these decoders have in common. Bounds are four times the largest published sizes. */
const decoderKeys = {
  ...causalKeys,
  ...rotaryKeys,
  vocab_size: computed(size(2 ** 20)),
  hidden_size: computed(size(65536)),
  intermediate_size: computed(size(262144)),
  num_hidden_layers: computed(size(512)),
  num_attention_heads: computed(size(1024)),
  head_dim: computed(size(1024).nullish()),
  max_position_embeddings: computed(size(2 ** 24)),
  rms_norm_eps: computed(z.number().positive().max(1).default(1e-6)),
  hidden_act: activation('silu'),
  tie_word_embeddings: computed(z.boolean().default(false)),
  attention_dropout: computed(rate.nullish()),
  pad_token_id: computed(z.number().int().nullish()),
  ...refusedUnless([true], 'is_causal'),
} as const;

const headCount = (usual: number | null) => computed(size(1024).nullish().default(usual));
const windowSize = computed(z.number().int().positive().nullish().default(4096));
const everyLayer =
  (type: string) =>
  ({ layer_types: types }: ConfigJson) => [Array.isArray(types) ? types.map(() => type) : []];

export const llamaKeys = {
  ...decoderKeys,
  num_key_value_heads: headCount(null),
  attention_bias: computed(z.boolean().default(false)),
  mlp_bias: computed(z.boolean().default(false)),
  layer_types: { class: 'refused', unless: everyLayer('full_attention'), supported: '"full_attention" in every layer' },
  ...refusedUnless([], 'sliding_window', 'attention_chunk_size'),
  ...refusedUnless([false], 'use_sliding_window'),
  ...withoutEffect('says how the same products are split', 'pretraining_tp'),
} as const satisfies KeyTable;

export const mistralKeys = {
  ...decoderKeys,
  num_key_value_heads: headCount(8),
  sliding_window: windowSize,
  // Transformers ignores the list here, and windows every layer: what was meant is another class of models.
  layer_types: {
    class: 'refused',
    unless: config => (config.sliding_window === null ? everyLayer('full_attention') : everyLayer('sliding_attention'))(config),
    supported: '"sliding_attention" in every layer ("full_attention" with a sliding_window of null)',
  },
  ...refusedUnless([false], 'attention_bias', 'mlp_bias'),
} as const satisfies KeyTable;

export const qwen2Keys = {
  ...decoderKeys,
  num_key_value_heads: headCount(32),
  use_sliding_window: computed(z.boolean().default(false)),
  sliding_window: windowSize,
  max_window_layers: computed(z.number().int().nonnegative().default(28)),
  layer_types: computed(
    z
      .array(z.enum(['full_attention', 'sliding_attention']))
      .max(512)
      .nullish(),
  ),
  ...refusedUnless([true], 'attention_bias'),
  ...refusedUnless([false], 'mlp_bias', 'use_mrope'),
} as const satisfies KeyTable;

type Own = Pick<LlamaConfig, 'qkvBias' | 'outputBias' | 'mlpBias' | 'slidingWindow'>;

interface Family<Keys extends typeof decoderKeys & KeyTable> {
  readonly family: string;
  readonly keys: Keys;
  /** What only this family has. */
  readonly own: (config: ConfigValues<Keys>) => Own;
}

const familyOf = <Keys extends typeof decoderKeys & KeyTable>(family: Family<Keys>): Family<Keys> => family;

const families = {
  LlamaForCausalLM: familyOf({
    family: 'llama',
    keys: llamaKeys,
    own: c => ({ qkvBias: c.attention_bias, outputBias: c.attention_bias, mlpBias: c.mlp_bias, slidingWindow: undefined }),
  }),
  MistralForCausalLM: familyOf({
    family: 'mistral',
    keys: mistralKeys,
    own: c => ({
      ...{ qkvBias: false, outputBias: false, mlpBias: false },
      slidingWindow: c.sliding_window
        ? { size: c.sliding_window, blocks: Array.from({ length: c.num_hidden_layers }, () => true) }
        : undefined,
    }),
  }),
  Qwen2ForCausalLM: familyOf({
    family: 'qwen2',
    keys: qwen2Keys,
    own: c => ({ qkvBias: true, outputBias: false, mlpBias: false, slidingWindow: qwen2Window(c) }),
  }),
} as const;

/** The blocks from `max_window_layers` on, or those that `layer_types` lists, and only where `use_sliding_window` says so. */
function qwen2Window(c: ConfigValues<typeof qwen2Keys>): LlamaConfig['slidingWindow'] {
  if (!c.sliding_window || !c.use_sliding_window) return undefined;
  const listed = c.layer_types?.map(type => type === 'sliding_attention');
  return {
    size: c.sliding_window,
    blocks: listed ?? Array.from({ length: c.num_hidden_layers }, (_, layer) => layer >= c.max_window_layers),
  };
}

export type LlamaArchitecture = keyof typeof families;

/** @throws ModelConfigError with every key that is missing, out of bounds or of an unsupported value */
export function llamaConfig(architecture: LlamaArchitecture, json: ConfigJson): LlamaConfig {
  const { family, keys, own } = families[architecture] as unknown as Family<typeof llamaKeys>;
  const { values: c, problems } = readConfig(keys, architecture, json);
  const kvHeads = c.num_key_value_heads ?? c.num_attention_heads;
  const headDim = c.head_dim ?? c.hidden_size / c.num_attention_heads;
  const rope = readRope(json, architecture, c.max_position_embeddings);
  refuse([...problems, ...headProblems(c, kvHeads, headDim), ...layerProblems(c, json), ...rope.problems], architecture);
  return {
    family,
    vocabularySize: c.vocab_size,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    blocks: c.num_hidden_layers,
    heads: c.num_attention_heads,
    kvHeads,
    headDim,
    maxPositions: c.max_position_embeddings,
    epsilon: c.rms_norm_eps,
    activation: c.hidden_act,
    ropeTheta: rope.theta,
    ropeScaling: rope.scaling,
    tied: c.tie_word_embeddings,
    attentionDropout: c.attention_dropout ?? 0,
    paddingRow: paddingRow(c.pad_token_id, c.vocab_size),
    ...own(c),
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
export const llamaKeysOf = (architecture: LlamaArchitecture): KeyTable => families[architecture].keys;
