/** The encoders with a tower of SigLIP in llama.cpp's files: Gemma 3, SmolVLM, Idefics3, LFM2-VL and PaddleOCR-VL. */
import type { ParameterSpec } from '../../module-specs.ts';
import type { Tiling } from '../families/lfm/lfm2-vl-tiles.ts';
import type { PaddleOcrTower } from '../families/paddle/paddle-ocr-config.ts';
import type { PixelScale } from '../vision-encoder.ts';
import {
  ACTIVATION_KEYS,
  byChannel,
  commonReason,
  fixedReason,
  type Mmproj,
  type MmprojNames,
  type MmprojSizes,
  type MmprojTensor,
  MOST_PIXELS,
  mmprojSizes,
  type NoMmproj,
  renamed,
} from './mmproj.ts';

/** The facts that the files of all these encoders have. */
export interface SiglipFile {
  /** The prefix of the tower's names. */
  readonly tower: string;
  readonly parameters: readonly ParameterSpec[];
  readonly sizes: MmprojSizes;
  readonly scale: PixelScale;
}

const SCALE_FACTOR = 'vision.projector.scale_factor';

/** Names of the tower. @param tower their prefix in the whole model */
const towerNames = (tower: string): MmprojNames =>
  Object.fromEntries(
    Object.entries({
      'v.patch_embd': 'embeddings.patch_embedding',
      'v.position_embd': 'embeddings.position_embedding',
      'v.blk.{}.ln1': 'encoder.layers.{}.layer_norm1',
      'v.blk.{}.ln2': 'encoder.layers.{}.layer_norm2',
      'v.blk.{}.attn_q': 'encoder.layers.{}.self_attn.q_proj',
      'v.blk.{}.attn_k': 'encoder.layers.{}.self_attn.k_proj',
      'v.blk.{}.attn_v': 'encoder.layers.{}.self_attn.v_proj',
      'v.blk.{}.attn_out': 'encoder.layers.{}.self_attn.out_proj',
      'v.blk.{}.ffn_up': 'encoder.layers.{}.mlp.fc1',
      'v.blk.{}.ffn_down': 'encoder.layers.{}.mlp.fc2',
      'v.post_ln': 'post_layernorm',
    }).map(([theirs, own]) => [theirs, tower + own]),
  );

/** @param names of the projector */
function described({ tower, parameters, sizes, scale }: SiglipFile, projector: string, names: MmprojNames): Mmproj | NoMmproj {
  const reason = commonReason(scale, sizes);
  if (reason !== undefined) return { reason };
  return { projector, sizes, settings: {}, tensors: renamed(parameters, { ...towerNames(tower), ...names }) };
}

/** @param pooled the side of the squares of patches that become a vector @param projector the prefix of its names */
export function gemma3Mmproj(
  file: SiglipFile,
  { pooled, projector }: { readonly pooled: number; readonly projector: string },
): Mmproj | NoMmproj {
  const found = described(file, 'gemma3', {
    'mm.soft_emb_norm': `${projector}mm_soft_emb_norm`,
    'mm.input_projection.weight': `${projector}mm_input_projection_weight`,
  });
  if ('reason' in found) return found;
  const tensors = found.tensors.map((tensor): MmprojTensor => {
    // Unlike those of the tower, this norm is stored as the difference from 1.
    if (tensor.name === 'mm.soft_emb_norm.weight') return { ...tensor, values: values => values.map(x => x + 1) };
    // It is transposed before the product, which graphics cards do not do in bfloat16.
    return tensor.name === 'mm.input_projection.weight' ? { ...tensor, float32: true } : tensor;
  });
  return { ...found, settings: { [SCALE_FACTOR]: pooled }, tensors };
}

export interface SmolvlmFile extends SiglipFile {
  /** Side of a tile in pixels, and the longest side to which an image is resized before it is cut; undefined if it is not. */
  readonly tile: number;
  readonly longest: number | undefined;
  readonly joined: number;
  /** The name of the projection. */
  readonly projection: string;
}

/** SmolVLM and Idefics3. */
export function smolvlmMmproj({ tile, longest, joined, projection, ...file }: SmolvlmFile): Mmproj | NoMmproj {
  const { imageSize } = file.sizes;
  if (tile !== imageSize) return { reason: `tiles have ${tile} pixels per side, and llama.cpp takes them of image_size, ${imageSize}` };
  if (longest === undefined) return { reason: 'images are not resized or not cut into tiles, and llama.cpp does both' };
  const found = described(file, 'idefics3', { 'mm.model.fc': projection });
  return 'reason' in found ? found : { ...found, settings: { [SCALE_FACTOR]: joined, 'vision.preproc_image_size': longest } };
}

export interface Lfm2VlFile extends SiglipFile {
  readonly tiling: Tiling;
  readonly joined: number;
  readonly projector: string;
}

/**
 * How llama.cpp divides images for LFM2-VL, which it does not read from the file.
 * @param factor the side of the square of pixels that becomes a vector
 */
const lfm2Tiling = (patch: number, factor: number): Tiling => {
  const maxPixels = 256 * factor ** 2;
  return {
    patch,
    limits: { factor, minPixels: 64 * factor ** 2, maxPixels },
    tolerated: 2 * maxPixels,
    tile: 512,
    counts: { least: 2, most: 10 },
    hasThumbnail: true,
    hasMarks: true,
  };
};

export function lfm2VlMmproj({ tiling, joined, projector, ...file }: Lfm2VlFile): Mmproj | NoMmproj {
  const { patch } = tiling;
  const expected = lfm2Tiling(patch, patch * joined);
  if (JSON.stringify(tiling) !== JSON.stringify(expected))
    return { reason: `images are divided otherwise than in llama.cpp: ${JSON.stringify(tiling)} in place of ${JSON.stringify(expected)}` };
  const found = described(file, 'lfm2', {
    'mm.input_norm': `${projector}layer_norm`,
    'mm.1': `${projector}linear_1`,
    'mm.2': `${projector}linear_2`,
  });
  if ('reason' in found) return found;
  const tensors = found.tensors.map(tensor => (tensor.name === 'v.patch_embd.weight' ? byChannel(tensor, patch) : tensor));
  return { ...found, settings: { [SCALE_FACTOR]: joined }, tensors };
}

/** @param projector the prefix of its names */
export function paddleOcrMmproj(
  { parameters, tower, projector }: { readonly parameters: readonly ParameterSpec[]; readonly tower: string; readonly projector: string },
  config: PaddleOcrTower,
): Mmproj | NoMmproj {
  const { patch, outputSize, merged, theta, activation, limits, scale } = config;
  const reason = fixedReason({ spatial_merge_size: [merged, 2], rope_theta: [theta, 10_000] });
  if (reason !== undefined) return { reason };
  // llama.cpp has one activation for the tower and the projector, which has GELU.
  if (ACTIVATION_KEYS[activation] !== 'use_gelu')
    return { reason: `hidden_act is ${activation}, and llama.cpp has GELU in the projector too` };
  // Nothing depends on the side, which the converter takes from the limit of pixels.
  const sizes = { ...mmprojSizes(config), patch, outputSize, imageSize: Math.min(Math.floor(Math.sqrt(limits.maxPixels)), MOST_PIXELS) };
  const found = described({ tower, parameters, sizes, scale }, 'paddleocr', {
    'mm.input_norm': `${projector}pre_norm`,
    'mm.1': `${projector}linear_1`,
    'mm.2': `${projector}linear_2`,
  });
  if ('reason' in found) return found;
  return { ...found, settings: { 'vision.image_min_pixels': limits.minPixels, 'vision.image_max_pixels': limits.maxPixels } };
}
