/** Reads the config.json of ViT and DeiT, as Transformers writes it. */

import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { computed, contradiction, type KeyTable, readConfig, refuse, withoutEffect } from '../../config-keys.ts';
import type { GridSize } from '../../layer/positions/resize-grid.ts';
import type { ConfigProblem } from '../../model-spec.ts';
import { encoderKeys, encoderProblems, imageKeys, rate } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import { gridOf, type TablePositions } from './tower.ts';
import type { VitConfig } from './vit.ts';
import { transformersNames } from './vit-names.ts';

/** The keys of ViT and DeiT. */
export const vitKeys = {
  ...encoderKeys,
  ...imageKeys(16),
  qkv_bias: computed(z.boolean().default(true)),
  hidden_dropout_prob: computed(rate.default(0)),
  attention_probs_dropout_prob: computed(rate.default(0)),
  head_dim: { class: 'refused', unless: c => [Number(c.hidden_size) / Number(c.num_attention_heads)] },
  ...withoutEffect('is of a pooler, which the classifier does without', 'pooler_act', 'pooler_output_size'),
  ...withoutEffect('is for reconstructing images', 'encoder_stride'),
} as const satisfies KeyTable;

/** The contents of an architecture's file. */
export interface VitForm {
  readonly family: 'vit' | 'deit';
  /** Prefix of the encoder's tensor names; empty for the bare encoder. */
  readonly prefix: string;
  /** `teacher`: a second head on the distillation token; the output is the mean of both. */
  readonly head: 'none' | 'one' | 'teacher';
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function vitConfig(architecture: string, { family, prefix, head }: VitForm, json: ConfigJson, options: ModelOptions): VitConfig {
  const { values: c, problems } = readConfig(vitKeys, architecture, json);
  refuse([...problems, ...encoderProblems(c), ...patchProblems(c.image_size, c.patch_size)], architecture);
  const tokens = family === 'deit' ? [1, 1] : [1];
  return {
    family,
    ...readLabels({ architecture, json, options, hasHead: head !== 'none', std: c.initializer_range }),
    names: transformersNames(prefix, head === 'teacher'),
    tokens,
    pooling: 'first',
    positions: tablePositions({ grid: gridOf(c.image_size, c.patch_size), firsts: tokens.length, hiddenSize: c.hidden_size }),
    image: c.image_size,
    ...vitSizes(c),
    isResizable: false,
    intermediateSize: c.intermediate_size,
    biased: { q: c.qkv_bias, k: c.qkv_bias, v: c.qkv_bias, o: true, mlp: true },
    isScaled: false,
    activation: c.hidden_act,
    dropout: c.hidden_dropout_prob,
    embeddingDropout: c.hidden_dropout_prob,
    attentionDropout: c.attention_probs_dropout_prob,
    pathDropout: { attention: 0, mlp: 0 },
  };
}

/** The sizes that all vision transformers' configs name alike. */
export const vitSizes = (c: {
  readonly patch_size: GridSize;
  readonly num_channels: number;
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly layer_norm_eps: number;
}) => ({
  patch: c.patch_size,
  channels: c.num_channels,
  hiddenSize: c.hidden_size,
  blocks: c.num_hidden_layers,
  heads: c.num_attention_heads,
  epsilon: c.layer_norm_eps,
});

/** A position table with an entry for each of the first tokens and each patch. */
export const tablePositions = (params: {
  readonly grid: GridSize;
  readonly firsts: number;
  readonly hiddenSize: number;
  readonly antialias?: boolean;
}): TablePositions => {
  const { grid, firsts, hiddenSize, antialias = false } = params;
  return { kind: 'table', grid, firsts, shape: [1, firsts + grid[0] * grid[1], hiddenSize], antialias };
};

/** Returns a problem if patches are larger than the image. A rest at the edges that fills no patch is ignored. */
export const patchProblems = (image: readonly [number, number], patch: readonly [number, number]): ConfigProblem[] =>
  image.some((side, i) => side < (patch[i] as number))
    ? [contradiction('patch_size', `patch_size [${patch}] is larger than image_size [${image}]`)]
    : [];
