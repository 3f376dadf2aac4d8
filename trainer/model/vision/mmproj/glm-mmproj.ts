/** The encoders of GLM-4V and GLM-OCR in llama.cpp's files. */
import type { ParameterSpec } from '../../module-specs.ts';
import type { GlmTower } from '../families/glm/glm-vision-config.ts';
import { commonReason, dividedFrames, fixedReason, type Mmproj, type MmprojNames, type NoMmproj, renamed } from './mmproj.ts';

/** The side that the class of Transformers has by default. llama.cpp's converter writes one for towers without a table, too. */
const SIDE = 336;

const TOWER = 'model.visual.';
const BLOCK = `${TOWER}blocks.{}.`;
const PATCHES = ['v.patch_embd.weight', 'v.patch_embd.weight.1'];
const NAMES: MmprojNames = {
  'v.patch_embd': `${TOWER}patch_embed.proj`,
  'v.norm_embd': `${TOWER}post_conv_layernorm`,
  'v.position_embd': `${TOWER}embeddings.position_embedding`,
  'v.blk.{}.ln1': `${BLOCK}norm1`,
  'v.blk.{}.ln2': `${BLOCK}norm2`,
  'v.blk.{}.attn_qkv': `${BLOCK}attn.qkv`,
  'v.blk.{}.attn_q_norm': `${BLOCK}attn.q_norm`,
  'v.blk.{}.attn_k_norm': `${BLOCK}attn.k_norm`,
  'v.blk.{}.attn_out': `${BLOCK}attn.proj`,
  'v.blk.{}.ffn_gate': `${BLOCK}mlp.gate_proj`,
  'v.blk.{}.ffn_up': `${BLOCK}mlp.up_proj`,
  'v.blk.{}.ffn_down': `${BLOCK}mlp.down_proj`,
  'v.post_ln': `${TOWER}post_layernorm`,
  'mm.patch_merger': `${TOWER}downsample`,
  'mm.model.fc': `${TOWER}merger.proj`,
  'mm.post_norm': `${TOWER}merger.post_projection_norm`,
  'mm.gate': `${TOWER}merger.gate_proj`,
  'mm.up': `${TOWER}merger.up_proj`,
  'mm.down': `${TOWER}merger.down_proj`,
};

export function glmMmproj(tower: GlmTower, parameters: readonly ParameterSpec[]): Mmproj | NoMmproj {
  const { hiddenSize, blocks, heads, patch, outputSize, activation, epsilon, merged, frames, theta, tableSide } = tower;
  const fixed = { spatial_merge_size: [merged, 2], temporal_patch_size: [frames, 2], rope_theta: [theta, 10_000] } as const;
  const reason = fixedReason(fixed) ?? commonReason(tower.scale, tower);
  if (reason !== undefined) return { reason };
  // The file has intermediate_size of config.json, which is the projector's with GLM-4V. Nothing depends on it.
  const intermediateSize = tableSide === undefined ? tower.intermediateSize : tower.mergerSize;
  const imageSize = tableSide === undefined ? SIDE : tableSide * patch;
  return {
    projector: 'glm4v',
    sizes: { imageSize, patch, hiddenSize, intermediateSize, blocks, heads, outputSize, epsilon, activation },
    settings: {},
    tensors: parameters.flatMap(spec => (spec.shape.length === 5 ? dividedFrames(spec, PATCHES) : renamed([spec], NAMES))),
  };
}
