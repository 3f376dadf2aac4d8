/** Small vision models to tune: random weights, trained from scratch on a part of the digits, so that the base is worth tuning. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { loadModel } from '../../trainer/model/load-model.ts';
import { writeFloat32Folder } from '../float32-folder.ts';
import { randomWeights } from '../random-weights.ts';

const labels = ['0', '1', '2', '3', '4'];
const id2label = Object.fromEntries(labels.map((name, i) => [i, name]));
const label2id = Object.fromEntries(labels.map((name, i) => [name, i]));

export const VIT_CONFIG = {
  architectures: ['ViTForImageClassification'],
  model_type: 'vit',
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_channels: 1,
  image_size: 16,
  patch_size: 4,
  hidden_act: 'gelu',
  initializer_range: 0.02,
  layer_norm_eps: 1e-12,
  hidden_dropout_prob: 0,
  attention_probs_dropout_prob: 0,
  qkv_bias: true,
  id2label,
  label2id,
};

export const RESNET_CONFIG = {
  architectures: ['ResNetForImageClassification'],
  model_type: 'resnet',
  num_channels: 1,
  embedding_size: 16,
  hidden_sizes: [16, 32, 64],
  depths: [1, 1, 1],
  layer_type: 'basic',
  hidden_act: 'relu',
  downsample_in_first_stage: false,
  id2label,
  label2id,
};

const PREPROCESSOR = { image_mean: [0.3], image_std: [0.35] };

/** Writes a model folder with random weights and the normalization of its images. */
export async function writeRandomModel(dir: string, config: Readonly<Record<string, unknown>>, seed: number): Promise<void> {
  await writeFloat32Folder(dir, { config, weights: randomWeights(loadModel(config), { seed, gain: Math.SQRT2 }) });
  await writeFile(path.join(dir, 'preprocessor_config.json'), `${JSON.stringify(PREPROCESSOR, null, 2)}\n`);
}
