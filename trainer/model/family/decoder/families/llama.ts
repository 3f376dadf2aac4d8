/** Llama, and the many models by other makers with the same architecture, some under a name of their own and with other defaults. */

import { z } from 'zod';
import { type ConfigValues, computed, contradiction, type KeyTable, refused, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { epsilon } from '../../common-keys.ts';
import { biased, decoderKeys, headCount, noWindows, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf, type Own } from './family.ts';

const llamaKeys = {
  ...decoderKeys,
  num_key_value_heads: headCount(null),
  attention_bias: biased,
  mlp_bias: biased,
  ...noWindows,
  ...refusedUnless([false], 'use_sliding_window'),
  ...withoutEffect('says how the same products are split', 'pretraining_tp'),
} as const satisfies KeyTable;

const own = (c: ConfigValues<typeof llamaKeys>): Own => ({
  biases: alike(c.attention_bias),
  mlpBias: c.mlp_bias,
  windows: everywhere(c, undefined),
});

export const llama = familyOf({ family: 'llama', keys: llamaKeys, own });

const perhapsBiased = computed(z.boolean().optional());

const internLm3Keys = {
  ...llamaKeys,
  ...sizeKeys({
    vocab_size: 128512,
    hidden_size: 4096,
    intermediate_size: 10240,
    num_hidden_layers: 48,
    num_attention_heads: 32,
    max_position_embeddings: 32768,
  }),
  num_key_value_heads: headCount(2),
  head_dim: headCount(128),
  rms_norm_eps: epsilon(1e-5),
  pad_token_id: paddingId(2),
  attention_bias: perhapsBiased,
  qkv_bias: perhapsBiased,
  mlp_bias: perhapsBiased,
  bias: perhapsBiased,
} as const satisfies KeyTable;

/** InternLM 3 is computed with one setting for all biases, which has four names. */
export const internLm3 = familyOf({
  family: 'internlm3',
  keys: internLm3Keys,
  own: c => {
    const [ofAttention = false, ofMlp = false] = [c.attention_bias ?? c.qkv_bias, c.mlp_bias ?? c.bias];
    const given = [c.attention_bias, c.qkv_bias, c.mlp_bias, c.bias].filter(value => value !== undefined);
    const differ = new Set([ofAttention, ofMlp, ...given]).size > 1;
    return {
      ...own({ ...c, attention_bias: ofAttention, mlp_bias: ofMlp }),
      problems: differ
        ? [contradiction('mlp_bias', `the biases of attention (${ofAttention}) and of MLPs (${ofMlp}) are one setting here`)]
        : [],
    };
  },
});

const iquestCoderKeys = {
  ...llamaKeys,
  ...sizeKeys({
    vocab_size: 76800,
    hidden_size: 5120,
    intermediate_size: 27648,
    num_hidden_layers: 80,
    num_attention_heads: 40,
    max_position_embeddings: 131072,
  }),
  num_key_value_heads: headCount(8),
  head_dim: headCount(128),
  rms_norm_eps: epsilon(1e-5),
  ...refused('clip_qkv'),
} as const satisfies KeyTable;

export const iquestCoder = familyOf({ family: 'iquestcoder', keys: iquestCoderKeys, own });
