/** Nemotron-H and Nemotron 3: each block is Mamba-2, attention without positions, an MLP or experts, with squared ReLU in place of gates. */

import { z } from 'zod';
import { entryOf, isOneOf, namesOf } from '../../../../catalog/entries.ts';
import type { ConfigJson } from '../../../config-json.ts';
import {
  type ConfigValues,
  computed,
  contradiction,
  type KeyTable,
  multipleProblems,
  refused,
  refusedUnless,
  withoutEffect,
} from '../../../config-keys.ts';
import { activationOf } from '../../../layer/activation.ts';
import { activation, epsilon, size } from '../../common-keys.ts';
import { nemotronExperts } from '../blocks/expert-names.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import type { DecoderMamba } from '../blocks/mamba.ts';
import { nemotronNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, sizeKeys } from '../keys/decoder-keys.ts';
import { groupedExpertKeys, groupedExperts, groupProblems } from '../keys/grouped-experts.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

/** The kinds of blocks, by the letters of older files. */
const KINDS = { M: 'linear_attention', '*': 'full_attention', '-': 'mlp', E: 'moe' } as const;
/** Older names of two kinds. */
const OLDER = { mamba: KINDS.M, attention: KINDS['*'] } as const;
type Kind = (typeof KINDS)[keyof typeof KINDS];

const kinds = z.array(z.enum([...Object.values(KINDS), ...namesOf(OLDER)])).max(512);
const pattern = z
  .string()
  .max(512)
  .regex(/^[M*E-]+$/, 'is not made of M, *, - and E');
/** The blocks of a config that does not list them. */
const USUAL: readonly Kind[] = ['linear_attention', 'moe', 'full_attention', 'mlp'];
const NOT_READ = 'is not read by Transformers';

/** Bounds are four times the largest published sizes. */
const nemotronHKeys = {
  ...decoderKeys,
  ...groupedExpertKeys({ width: 7688, experts: 8, perToken: 2, groups: 1, chosenGroups: 1, factor: 1 }),
  ...sizeKeys({ vocab_size: 131072, hidden_size: 4096, intermediate_size: 21504, num_attention_heads: 32, max_position_embeddings: 4096 }),
  num_key_value_heads: headCount(8),
  head_dim: headCount(128),
  layer_norm_epsilon: epsilon(1e-5),
  layers_block_type: computed(kinds.nullish()),
  // An alias of `layers_block_type`.
  layer_types: computed(kinds.nullish()),
  hybrid_override_pattern: computed(pattern.nullish()),
  mlp_hidden_act: activation('relu2'),
  mamba_num_heads: computed(size(1024).default(128)),
  mamba_head_dim: computed(size(1024).default(64)),
  mamba_hidden_act: activation('silu'),
  ssm_state_size: computed(size(1024).default(128)),
  n_groups: computed(size(1024).default(8)),
  conv_kernel: computed(z.number().int().min(2).max(64).default(4)),
  chunk_size: computed(size(65536).default(128)),
  use_conv_bias: computed(z.boolean().default(true)),
  use_bias: biased,
  time_step_min: computed(z.number().nonnegative().default(1e-3)),
  moe_shared_expert_intermediate_size: computed(size(262144).default(7688)),
  ...refusedUnless([false], 'tie_word_embeddings', 'attention_bias', 'mlp_bias', 'mamba_proj_bias', 'use_sliding_window'),
  moe_latent_size: computed(size(65536).nullish()),
  ...refused('sliding_window', 'attention_chunk_size', 'num_local_experts'),
  ...refused('mamba_n_groups', 'mamba_d_conv', 'mamba_conv_bias', 'mamba_dt_min'),
  attention_head_dim: { class: 'refused', unless: ({ head_dim: given = 128 }) => [given], supported: 'what head_dim says' },
  ...withoutEffect('is not read: mlp_hidden_act counts', 'hidden_act'),
  ...withoutEffect('is not read: layer_norm_epsilon counts', 'rms_norm_eps', 'norm_eps'),
  ...withoutEffect('is not read: time_step_min counts, and there is no upper limit', 'time_step_limit', 'mamba_dt_limit'),
  ...withoutEffect('is not read: mamba_num_heads and mamba_head_dim count', 'expand', 'mamba_expand'),
  ...withoutEffect('is not read: no block rotates', 'rope_theta', 'rope_scaling', 'rope_parameters', 'partial_rotary_factor'),
  ...withoutEffect('is not read: no block rotates', 'original_max_position_embeddings'),
  ...withoutEffect(NOT_READ, 'hidden_dropout', 'residual_in_fp32', 'time_step_rank', 'moe_shared_expert_overlap', 'pad_token_id'),
  ...withoutEffect(
    'is for new layers',
    'rescale_prenorm_residual',
    'time_step_max',
    'time_step_floor',
    'mamba_dt_max',
    'mamba_dt_init_floor',
  ),
  ...withoutEffect('says how the same numbers are computed', 'use_mamba_kernels', 'mamba_ssm_cache_dtype', 'mamba_chunk_size'),
  ...withoutEffect('belongs to the code of Transformers, not to a file', 'number_of_conv_states'),
  ...withoutEffect('says how text is written', 'num_logits_to_keep'),
  ...withoutEffect(
    'is of the layers that guess further tokens, which are not loaded',
    'mtp_layers_block_type',
    'mtp_hybrid_override_pattern',
  ),
} as const satisfies KeyTable;

type Config = ConfigValues<typeof nemotronHKeys>;

function kindsOf(c: Config): readonly Kind[] {
  const listed = c.layers_block_type ?? c.layer_types;
  if (listed) return listed.map(kind => (isOneOf(namesOf(OLDER), kind) ? OLDER[kind] : kind));
  return c.hybrid_override_pattern ? [...c.hybrid_override_pattern].flatMap(letter => entryOf(KINDS, letter) ?? []) : USUAL;
}

/** Returns the number of blocks, which files of Transformers 5 leave out. */
function blockCount({ layers_block_type: one, layer_types: other, hybrid_override_pattern: letters }: ConfigJson): ConfigJson {
  const listed = one ?? other ?? letters;
  return { num_hidden_layers: Array.isArray(listed) || typeof listed === 'string' ? listed.length : USUAL.length };
}

const mambaOf = (c: Config, layers: readonly boolean[]): DecoderMamba => ({
  name: 'mixer',
  lacksPeftFactors: true,
  layers,
  heads: c.mamba_num_heads,
  headDim: c.mamba_head_dim,
  groups: c.n_groups,
  stateDim: c.ssm_state_size,
  width: c.conv_kernel,
  chunk: c.chunk_size,
  biases: { input: c.use_bias, output: c.use_bias, convolution: c.use_conv_bias },
  activation: c.mamba_hidden_act,
  norm: 'after gate',
  steps: { least: c.time_step_min, most: Number.POSITIVE_INFINITY },
});

const mixtureOf = (c: Config, layers: readonly boolean[]): DecoderExperts => ({
  ...groupedExperts({ ...c, hidden_act: c.mlp_hidden_act }, layers),
  choiceBias: 'mixer.gate.e_score_correction_bias',
  names: nemotronExperts,
  ...(c.moe_latent_size && { latent: { width: c.moe_latent_size, down: 'mixer.fc1_latent_proj', up: 'mixer.fc2_latent_proj' } }),
  gated: { kind: 'none', of: activationOf(c.mlp_hidden_act) },
  shared: {
    name: 'mixer.shared_experts',
    isPlain: true,
    intermediateSize: c.moe_shared_expert_intermediate_size,
    activation: c.mlp_hidden_act,
    gated: false,
  },
});

export const nemotronH = familyOf({
  family: 'nemotron_h',
  names: nemotronNames,
  keys: nemotronHKeys,
  defaults: blockCount,
  own: c => {
    const all = kindsOf(c);
    const are = (kind: Kind): boolean[] => all.map(each => each === kind);
    const [recurrent, mixed] = [are('linear_attention'), are('moe')];
    return {
      parts: all.map(kind => (kind === 'mlp' || kind === 'moe' ? 'mlp' : 'mixer')),
      biases: alike(false),
      windows: everywhere(c, undefined),
      usesRope: everywhere(c, false),
      activation: c.mlp_hidden_act,
      norms: { epsilon: c.layer_norm_epsilon, offset: 0 },
      tied: false,
      ...(recurrent.includes(true) && { mamba: mambaOf(c, recurrent) }),
      ...(mixed.includes(true) && { experts: mixtureOf(c, mixed) }),
      problems: [
        ...(mixed.includes(true) ? groupProblems(c) : []),
        ...multipleProblems('n_groups', ['mamba_num_heads', c.mamba_num_heads], ['n_groups', c.n_groups]),
        ...(all.length === c.num_hidden_layers || c.layers_block_type || c.layer_types
          ? []
          : [
              contradiction(
                'num_hidden_layers',
                `num_hidden_layers ${c.num_hidden_layers} is not the ${all.length} of hybrid_override_pattern`,
              ),
            ]),
      ],
    };
  },
});
