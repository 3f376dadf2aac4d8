/** Reads the config.json of Swin transformers, as Transformers writes it. */

import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { computed, contradiction, type KeyTable, readConfig, refuse, refusedUnless, withoutEffect } from '../../config-keys.ts';
import { activation, backboneKeys, classifierKeys, epsilon, imageKeys, rate, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import type { PreNormConfig } from '../pre-norm-block.ts';
import { gridsOf, type SwinConfig, type SwinStage } from './swin.ts';
import { transformersNames } from './swin-names.ts';

export const swinKeys = {
  ...classifierKeys,
  ...backboneKeys,
  ...imageKeys(4),
  embed_dim: computed(size(16384).default(96)),
  depths: computed(z.array(size(512)).min(1).max(64).default([2, 2, 6, 2])),
  num_heads: computed(z.array(size(256)).min(1).max(64).default([3, 6, 12, 24])),
  window_size: computed(size(256).default(7)),
  mlp_ratio: computed(z.number().positive().max(64).default(4)),
  qkv_bias: computed(z.boolean().default(true)),
  hidden_act: activation('gelu'),
  hidden_dropout_prob: computed(rate.default(0)),
  attention_probs_dropout_prob: computed(rate.default(0)),
  drop_path_rate: computed(rate.default(0.1)),
  use_absolute_embeddings: computed(z.boolean().default(false)),
  initializer_range: computed(z.number().min(0).max(10).default(0.02)),
  layer_norm_eps: epsilon(1e-5),
  ...refusedUnless([false], 'is_causal'),
  ...withoutEffect('is for reconstructing images', 'encoder_stride'),
  ...withoutEffect('follows from depths and embed_dim', 'hidden_size', 'num_layers', 'num_hidden_layers', 'num_attention_heads'),
} as const satisfies KeyTable;

/** The contents of an architecture's file. */
export interface SwinForm {
  /** Prefix of the encoder's tensor names; empty for the bare encoder. */
  readonly prefix: string;
  readonly hasHead: boolean;
}

/** The sizes that determine the stages. */
export interface StageSizes {
  readonly width: number;
  readonly depths: readonly number[];
  readonly heads: readonly number[];
  readonly ratio: number;
  readonly pathDropout: number;
  /** True if samples can skip the MLP too, as in timm. */
  readonly dropsMlp: boolean;
  readonly block: Pick<PreNormConfig, 'biased' | 'epsilon' | 'activation' | 'dropout' | 'attentionDropout'>;
}

/** The stages: each is twice as wide as the one before, and the probability of skipping rises with each block. */
export function swinStages({ width, depths, heads, ratio, pathDropout, dropsMlp, block }: StageSizes): SwinStage[] {
  const count = depths.reduce((sum, depth) => sum + depth, 0);
  let layer = 0;
  return depths.map((depth, s) => ({
    blocks: Array.from({ length: depth }, () => {
      const dropped = (pathDropout * layer++) / Math.max(count - 1, 1);
      const hiddenSize = width * 2 ** s;
      return {
        ...block,
        hiddenSize,
        intermediateSize: Math.floor(ratio * hiddenSize),
        heads: heads[s] as number,
        isScaled: false,
        pathDropout: { attention: dropped, mlp: dropsMlp ? dropped : 0 },
      };
    }),
  }));
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function swinConfig(architecture: string, { prefix, hasHead }: SwinForm, json: ConfigJson, options: ModelOptions): SwinConfig {
  const { values: c, problems } = readConfig(swinKeys, architecture, json);
  const uneven =
    c.depths.length === c.num_heads.length
      ? []
      : [contradiction('num_heads', `num_heads has ${c.num_heads.length} entries, depths has ${c.depths.length}`)];
  const split = c.num_heads.flatMap((heads, s) => {
    const width = c.embed_dim * 2 ** s;
    return width % heads
      ? [contradiction('num_heads', `num_heads has ${heads}, which does not divide the ${width} features of stage ${s}`)]
      : [];
  });
  refuse([...problems, ...uneven, ...split], architecture);
  const biased = { q: c.qkv_bias, k: c.qkv_bias, v: c.qkv_bias, o: true, mlp: true };
  const block = {
    biased,
    epsilon: c.layer_norm_eps,
    activation: c.hidden_act,
    dropout: c.hidden_dropout_prob,
    attentionDropout: c.attention_probs_dropout_prob,
  };
  const stages = swinStages({
    ...{ width: c.embed_dim, depths: c.depths, heads: c.num_heads, ratio: c.mlp_ratio, pathDropout: c.drop_path_rate },
    ...{ dropsMlp: false, block },
  });
  const image = c.use_absolute_embeddings ? c.image_size : (options.imageSize ?? c.image_size);
  const config: SwinConfig = {
    ...readLabels({ architecture, json, options, hasHead, std: c.initializer_range }),
    names: transformersNames(prefix),
    image,
    isResizable: !c.use_absolute_embeddings,
    patch: c.patch_size,
    channels: c.num_channels,
    window: c.window_size,
    hasPositions: c.use_absolute_embeddings,
    stages,
    epsilon: c.layer_norm_eps,
    embeddingDropout: c.hidden_dropout_prob,
  };
  refuse(windowProblems(config), architecture);
  return config;
}

/**
 * Returns a problem for each stage with fewer places than a window: its table of relative positions would not fit, in Transformers neither.
 */
export const windowProblems = (config: Pick<SwinConfig, 'image' | 'patch' | 'stages' | 'window'>) =>
  gridsOf(config).flatMap((grid, s) =>
    Math.min(...grid) < config.window
      ? [contradiction('window_size', `window_size ${config.window} is larger than the ${grid[0]} × ${grid[1]} places of stage ${s}`)]
      : [],
  );
