/** Reads the config.json of DINOv3's vision transformers, as Transformers writes it. */

import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { computed, contradiction, type KeyTable, readConfig, refuse, refusedUnless, withoutEffect } from '../../config-keys.ts';
import type { ConfigProblem } from '../../model-spec.ts';
import { activation, backboneKeys, classifierKeys, encoderProblems, epsilon, imageKeys, rate, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import type { VitConfig } from './vit.ts';
import { patchProblems, vitSizes } from './vit-config.ts';
import { dinov3Names } from './vit-names.ts';

const isBiased = (usual: boolean) => computed(z.boolean().default(usual));
/** The largest factor for positions; its inverse is the smallest. */
const stretch = z.number().min(1).max(1e6);

export const dinov3Keys = {
  ...classifierKeys,
  ...backboneKeys,
  ...imageKeys(16),
  hidden_size: computed(size(16384).default(384)),
  intermediate_size: computed(size(65536).default(1536)),
  num_hidden_layers: computed(size(256).default(12)),
  num_attention_heads: computed(size(256).default(6)),
  hidden_act: activation('gelu'),
  attention_dropout: computed(rate.default(0)),
  drop_path_rate: computed(rate.default(0)),
  initializer_range: computed(z.number().min(0).max(10).default(0.02)),
  layer_norm_eps: epsilon(1e-5),
  rope_theta: computed(z.number().positive().default(100)),
  query_bias: isBiased(true),
  key_bias: isBiased(false),
  value_bias: isBiased(true),
  proj_bias: isBiased(true),
  mlp_bias: isBiased(true),
  use_gated_mlp: isBiased(false),
  num_register_tokens: computed(size(1024).or(z.literal(0)).default(0)),
  pos_embed_shift: computed(z.number().min(0).max(1e6).nullish()),
  pos_embed_jitter: computed(stretch.nullish()),
  pos_embed_rescale: computed(stretch.nullable().default(2)),
  head_dim: { class: 'refused', unless: c => [Number(c.hidden_size) / Number(c.num_attention_heads)] },
  ...refusedUnless([false], 'is_causal'),
  ...withoutEffect('is how scales of layers start that every file holds', 'layerscale_value'),
} as const satisfies KeyTable;

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function dinov3Config(architecture: string, hasHead: boolean, json: ConfigJson, options: ModelOptions): VitConfig {
  const { values: c, problems } = readConfig(dinov3Keys, architecture, json);
  const headDim = c.hidden_size / c.num_attention_heads;
  const odd: ConfigProblem[] =
    headDim % 4
      ? [contradiction('hidden_size', `heads of ${headDim} features cannot be rotated by row and column, which takes a multiple of 4`)]
      : [];
  const image = options.imageSize ?? c.image_size;
  refuse([...problems, ...encoderProblems(c), ...odd, ...patchProblems(image, c.patch_size)], architecture);
  return {
    family: 'dinov3',
    ...readLabels({ architecture, json, options, hasHead, std: c.initializer_range }),
    names: dinov3Names(c.use_gated_mlp),
    tokens: [1, c.num_register_tokens],
    pooling: 'first-and-mean',
    positions: {
      kind: 'rotary',
      theta: c.rope_theta,
      augment: {
        shift: c.pos_embed_shift ?? undefined,
        jitter: c.pos_embed_jitter ?? undefined,
        rescale: c.pos_embed_rescale ?? undefined,
      },
    },
    image,
    ...vitSizes(c),
    isResizable: true,
    intermediateSize: c.intermediate_size,
    biased: { q: c.query_bias, k: c.key_bias, v: c.value_bias, o: c.proj_bias, mlp: c.mlp_bias },
    isScaled: true,
    activation: c.hidden_act,
    dropout: 0,
    embeddingDropout: 0,
    attentionDropout: c.attention_dropout,
    pathDropout: { attention: c.drop_path_rate, mlp: c.drop_path_rate },
  };
}
