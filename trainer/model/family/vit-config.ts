/** Reads the config.json of ViT and DeiT, as Transformers writes it. */
import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../load-model.ts';
import { readLabels } from './labels.ts';
import { encoderProblems, encoderSizes, rate, readConfig, refuse, size } from './read-config.ts';
import type { VitConfig } from './vit.ts';
import { transformersNames } from './vit-names.ts';

/** Height and width in pixels, given as one number or as two. */
const sides = z.union([size(8192).transform((n): [number, number] => [n, n]), z.tuple([size(8192), size(8192)])]);

const schema = z.looseObject({
  ...encoderSizes,
  image_size: sides.default([224, 224]),
  patch_size: sides.default([16, 16]),
  num_channels: size(64).default(3),
  qkv_bias: z.boolean().default(true),
  hidden_dropout_prob: rate.default(0),
  attention_probs_dropout_prob: rate.default(0),
});

/** What an architecture's file holds. */
export interface VitForm {
  readonly family: VitConfig['family'];
  /** Before the names of the encoder's tensors; the bare encoder is saved without. */
  readonly prefix: string;
  /** `teacher`: a second head on the distillation token, and the mean of both as the answer. */
  readonly head: 'none' | 'one' | 'teacher';
}

/** @throws ModelConfigError with every key that is missing, out of bounds or of an unsupported value */
export function vitConfig(architecture: string, { family, prefix, head }: VitForm, json: ConfigJson, options: ModelOptions): VitConfig {
  const c = readConfig(schema, architecture, json);
  refuse([...encoderProblems(c), ...patchProblems(c.image_size, c.patch_size)]);
  return {
    family,
    ...readLabels({ architecture, json, options, hasHead: head !== 'none', std: c.initializer_range }),
    names: transformersNames(prefix, head === 'teacher'),
    hasDistillation: family === 'deit',
    hasTeacherHead: head === 'teacher',
    image: c.image_size,
    patch: c.patch_size,
    channels: c.num_channels,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    blocks: c.num_hidden_layers,
    heads: c.num_attention_heads,
    qkvBias: c.qkv_bias,
    epsilon: c.layer_norm_eps,
    activation: c.hidden_act,
    dropout: c.hidden_dropout_prob,
    attentionDropout: c.attention_probs_dropout_prob,
  };
}

export const patchProblems = (image: readonly [number, number], patch: readonly [number, number]): string[] =>
  image.some((side, i) => side % (patch[i] as number)) ? [`image_size [${image}] is no multiple of patch_size [${patch}]`] : [];
