/** Reads the config.json of DINOv2, with or without registers, as Transformers writes it. */

import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { computed, contradiction, type KeyTable, readConfig, refuse, refusedUnless, withoutEffect } from '../../config-keys.ts';
import { activation, backboneKeys, classifierKeys, encoderProblems, epsilon, imageKeys, rate, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import { IMAGENET_SIZE } from './resnet-config.ts';
import { gridOf } from './tower.ts';
import type { VitConfig } from './vit.ts';
import { patchProblems, tablePositions, vitSizes } from './vit-config.ts';
import { dinov2Names } from './vit-names.ts';

const keys = (patch: number) =>
  ({
    ...classifierKeys,
    ...backboneKeys,
    ...imageKeys(patch),
    hidden_size: computed(size(16384).default(768)),
    num_hidden_layers: computed(size(256).default(12)),
    num_attention_heads: computed(size(256).default(12)),
    mlp_ratio: computed(z.number().positive().max(64).default(4)),
    hidden_act: activation('gelu'),
    hidden_dropout_prob: computed(rate.default(0)),
    attention_probs_dropout_prob: computed(rate.default(0)),
    drop_path_rate: computed(rate.default(0)),
    initializer_range: computed(z.number().min(0).max(10).default(0.02)),
    layer_norm_eps: epsilon(1e-6),
    qkv_bias: computed(z.boolean().default(true)),
    use_swiglu_ffn: computed(z.boolean().default(false)),
    head_dim: { class: 'refused', unless: c => [Number(c.hidden_size) / Number(c.num_attention_heads)] },
    ...refusedUnless([false], 'is_causal'),
    ...withoutEffect('is how scales of layers start that every file holds', 'layerscale_value'),
    ...withoutEffect('is of a token that stands for hidden patches, in pretraining alone', 'use_mask_token'),
  }) as const satisfies KeyTable;

export const dinov2Keys = keys(14);
export const dinov2RegisterKeys = {
  ...keys(16),
  num_register_tokens: computed(size(1024).or(z.literal(0)).default(4)),
} as const satisfies KeyTable;

/** The contents of an architecture's file. */
export interface Dinov2Form {
  readonly hasRegisters: boolean;
  /** Prefix of the encoder's tensor names; empty for the bare encoder. */
  readonly prefix: string;
  readonly hasHead: boolean;
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function dinov2Config(architecture: string, form: Dinov2Form, json: ConfigJson, options: ModelOptions): VitConfig {
  const { hasRegisters, prefix, hasHead } = form;
  const { values: c, problems } = readConfig(hasRegisters ? dinov2RegisterKeys : dinov2Keys, architecture, json);
  const registers = 'num_register_tokens' in c ? Number(c.num_register_tokens) : 0;
  const { image_size: trained, patch_size: patch } = c;
  const image = options.imageSize ?? [Math.min(trained[0], IMAGENET_SIZE[0]), Math.min(trained[1], IMAGENET_SIZE[1])];
  const grid = gridOf(trained, patch);
  // Transformers resamples the table as a square.
  const oblong = contradiction(
    'image_size',
    `image_size [${trained}] gives a table of ${grid[0]} × ${grid[1]} patches, which is not square`,
  );
  refuse([...problems, ...encoderProblems(c), ...patchProblems(trained, patch), ...(grid[0] === grid[1] ? [] : [oblong])], architecture);
  return {
    family: 'dinov2',
    ...readLabels({ architecture, json, options, hasHead, std: c.initializer_range }),
    names: dinov2Names(prefix, c.use_swiglu_ffn),
    tokens: [1, registers],
    pooling: 'first-and-mean',
    positions: tablePositions({ grid, firsts: 1, hiddenSize: c.hidden_size, antialias: hasRegisters }),
    image,
    ...vitSizes(c),
    isResizable: true,
    intermediateSize: innerSize(c.hidden_size, c.mlp_ratio, c.use_swiglu_ffn),
    biased: { q: c.qkv_bias, k: c.qkv_bias, v: c.qkv_bias, o: true, mlp: true },
    isScaled: true,
    activation: c.use_swiglu_ffn ? 'silu' : c.hidden_act,
    dropout: 0,
    embeddingDropout: c.hidden_dropout_prob,
    attentionDropout: c.attention_probs_dropout_prob,
    pathDropout: { attention: c.drop_path_rate, mlp: c.drop_path_rate },
  };
}

/** A gated MLP has three layers, so its width is two thirds, rounded to a multiple of eight. */
function innerSize(hiddenSize: number, ratio: number, isGated: boolean): number {
  const plain = Math.floor(hiddenSize * ratio);
  return isGated ? Math.ceil(Math.floor((plain * 2) / 3) / 8) * 8 : plain;
}
