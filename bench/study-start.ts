/** Small vision models to tune: weights drawn at random, then trained from scratch on a part of the digits, so that there is a base worth tuning. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { encodeFloat32, writeSafetensors } from '../trainer/hub/safetensors-writer.ts';
import { loadModel } from '../trainer/model/load-model.ts';
import type { AnyModel, ParameterSpec } from '../trainer/model/model-spec.ts';
import { createRandom, hashSeed } from '../trainer/random.ts';

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

/** A model folder with random weights: He for convolutions, 0.05 for the rest of the matrices, norms that change nothing. */
export async function writeRandomModel(dir: string, config: Readonly<Record<string, unknown>>, seed: number): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeFile(path.join(dir, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
  await writeFile(path.join(dir, 'preprocessor_config.json'), `${JSON.stringify(PREPROCESSOR, null, 2)}\n`);
  const model = loadModel(config);
  const ones = onesOf(model);
  const entries = model.parameters.map(parameter => ({
    name: parameter.name,
    dtype: 'F32' as const,
    shape: parameter.shape,
    data: () => encodeFloat32(startOf(parameter, ones.has(parameter.name), seed), 'F32'),
  }));
  await writeSafetensors(path.join(dir, 'model.safetensors'), entries, { format: 'pt' });
}

/** Scales and running variances of norms. */
const onesOf = (model: AnyModel): Set<string> =>
  new Set(
    model.modules.flatMap(module =>
      module.kind === 'norm' ? [module.weight.name, ...('variance' in module ? [(module.variance as ParameterSpec).name] : [])] : [],
    ),
  );

function startOf({ name, shape }: ParameterSpec, isOne: boolean, seed: number): Float32Array {
  const count = shape.reduce((n, d) => n * d, 1);
  if (isOne) return new Float32Array(count).fill(1);
  if (shape.length < 2) return new Float32Array(count);
  const fanIn = shape.slice(1).reduce((n, d) => n * d, 1);
  const spread = shape.length === 4 ? Math.sqrt(2 / fanIn) : 0.05;
  const random = createRandom(hashSeed(seed, name));
  return Float32Array.from({ length: count }, () => spread * normal(random.uniform(), random.uniform()));
}

/** Box and Muller. */
const normal = (u: number, v: number): number => Math.sqrt(-2 * Math.log(1 - u)) * Math.cos(2 * Math.PI * v);
