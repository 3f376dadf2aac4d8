/** The encoder of LightOnOCR in llama.cpp's files. */
import type { ParameterSpec } from '../../module-specs.ts';
import type { PixtralTower } from '../families/pixtral/pixtral-config.ts';
import {
  commonReason,
  fixedReason,
  type Mmproj,
  type MmprojNames,
  type MmprojTensor,
  MOST_PIXELS,
  type NoMmproj,
  renamed,
} from './mmproj.ts';

const TOWER = 'model.vision_encoder.';
const BLOCK = `${TOWER}transformer.layers.{}.`;
const PROJECTOR = 'model.vision_projection.';
const NAMES: MmprojNames = {
  'v.patch_embd': `${TOWER}patch_conv`,
  'v.pre_ln': `${TOWER}ln_pre`,
  'v.blk.{}.ln1': `${BLOCK}attention_norm`,
  'v.blk.{}.ln2': `${BLOCK}ffn_norm`,
  'v.blk.{}.attn_q': `${BLOCK}attention.q_proj`,
  'v.blk.{}.attn_k': `${BLOCK}attention.k_proj`,
  'v.blk.{}.attn_v': `${BLOCK}attention.v_proj`,
  'v.blk.{}.attn_out': `${BLOCK}attention.o_proj`,
  'v.blk.{}.ffn_gate': `${BLOCK}feed_forward.gate_proj`,
  'v.blk.{}.ffn_up': `${BLOCK}feed_forward.up_proj`,
  'v.blk.{}.ffn_down': `${BLOCK}feed_forward.down_proj`,
  'mm.input_norm': `${PROJECTOR}norm`,
  'mm.patch_merger': `${PROJECTOR}patch_merger.merging_layer`,
  'mm.1': `${PROJECTOR}linear_1`,
  'mm.2': `${PROJECTOR}linear_2`,
};

/** Rows of queries or keys, whose halves rotate together, so that neighbors do, as in llama.cpp. */
function neighbors(values: Float32Array, heads: number, hiddenSize: number): Float32Array {
  const out = new Float32Array(values.length);
  const width = hiddenSize / heads;
  for (let row = 0; row < hiddenSize; row++) {
    const at = row % width;
    const from = row - at + (at % 2) * (width / 2) + Math.floor(at / 2);
    out.set(values.subarray(from * hiddenSize, (from + 1) * hiddenSize), row * hiddenSize);
  }
  return out;
}

/** @param epsilon that of the tower's norms */
export function lightOnMmproj(tower: PixtralTower, parameters: readonly ParameterSpec[], epsilon: number): Mmproj | NoMmproj {
  const { patch, hiddenSize, intermediateSize, blocks, heads, activation, theta, projector, most, merged, scale } = tower;
  const side = most.width;
  const reason = fixedReason({ rope_theta: [theta, 10_000] }) ?? commonReason(scale, tower);
  if (reason !== undefined) return { reason };
  // With a smaller one, the states of a tower are so much larger than either that both do the same.
  if (projector.epsilon > epsilon)
    return { reason: `rms_norm_eps of the text part is ${projector.epsilon}, and llama.cpp has ${epsilon} before the projector` };
  if (most.height !== side || side > MOST_PIXELS)
    return { reason: `images have up to ${side} × ${most.height} pixels, and llama.cpp takes squares of up to ${MOST_PIXELS}` };
  const tensors = renamed(parameters, NAMES).map((tensor): MmprojTensor => {
    if (/\.attn_[qk]\./.test(tensor.name)) return { ...tensor, values: values => neighbors(values, heads, hiddenSize) };
    return tensor.name.startsWith('mm.patch_merger.') ? { ...tensor, float32: true } : tensor;
  });
  return {
    projector: 'lightonocr',
    sizes: { imageSize: side, patch, hiddenSize, intermediateSize, blocks, heads, outputSize: projector.outputSize, epsilon, activation },
    settings: { 'vision.spatial_merge_size': merged },
    tensors,
  };
}
