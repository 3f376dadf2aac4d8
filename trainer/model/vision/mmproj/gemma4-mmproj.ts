/** The encoder of Gemma 4 in llama.cpp's files. */
import type { ParameterSpec } from '../../module-specs.ts';
import { byChannel, commonReason, type Mmproj, type MmprojNames, type MmprojSizes, type NoMmproj, renamed } from './mmproj.ts';

export interface Gemma4File {
  readonly parameters: readonly ParameterSpec[];
  readonly sizes: Omit<MmprojSizes, 'imageSize'>;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Base of the rotary positions. */
  readonly theta: number;
  /** Side of the square of patches that become one vector. */
  readonly pooled: number;
  readonly scale: { readonly rescale: number };
}

/** llama.cpp computes this base of the rotary positions. Nothing depends on the side, which its converter writes too. */
const [THETA, SIDE] = [100, 224];

const TOWER = 'model.vision_tower.';
const BLOCK = `${TOWER}encoder.layers.{}.`;
const NAMES: MmprojNames = {
  'v.patch_embd': `${TOWER}patch_embedder.input_proj`,
  'v.position_embd.weight': `${TOWER}patch_embedder.position_embedding_table`,
  'v.blk.{}.attn_q': `${BLOCK}self_attn.q_proj`,
  'v.blk.{}.attn_k': `${BLOCK}self_attn.k_proj`,
  'v.blk.{}.attn_v': `${BLOCK}self_attn.v_proj`,
  'v.blk.{}.attn_out': `${BLOCK}self_attn.o_proj`,
  'v.blk.{}.attn_q_norm': `${BLOCK}self_attn.q_norm`,
  'v.blk.{}.attn_k_norm': `${BLOCK}self_attn.k_norm`,
  'v.blk.{}.ffn_gate': `${BLOCK}mlp.gate_proj`,
  'v.blk.{}.ffn_up': `${BLOCK}mlp.up_proj`,
  'v.blk.{}.ffn_down': `${BLOCK}mlp.down_proj`,
  'v.blk.{}.ln1': `${BLOCK}input_layernorm`,
  'v.blk.{}.attn_post_norm': `${BLOCK}post_attention_layernorm`,
  'v.blk.{}.ln2': `${BLOCK}pre_feedforward_layernorm`,
  'v.blk.{}.ffn_post_norm': `${BLOCK}post_feedforward_layernorm`,
  'v.std_bias': `${TOWER}std_bias`,
  'v.std_scale': `${TOWER}std_scale`,
  'mm.input_projection': 'model.embed_vision.embedding_projection',
};

export function gemma4Mmproj({ parameters, sizes, kvHeads, headDim, theta, pooled, scale }: Gemma4File): Mmproj | NoMmproj {
  const reason = commonReason(scale, sizes);
  if (reason !== undefined) return { reason };
  if (theta !== THETA) return { reason: `rope_theta is ${theta}, and llama.cpp has ${THETA}` };
  if (headDim * sizes.heads !== sizes.hiddenSize)
    return { reason: `head_dim is ${headDim}, and llama.cpp has hidden_size / num_attention_heads, ${sizes.hiddenSize / sizes.heads}` };
  const tensors = parameters.flatMap(spec =>
    // A clipped layer has its weight in a module inside, next to its limits.
    renamed([{ ...spec, name: spec.name.replace(/\.linear\.weight$/, '.weight') }], NAMES).map(tensor => ({
      ...tensor,
      parameter: spec.name,
    })),
  );
  return {
    projector: 'gemma4v',
    sizes: { ...sizes, imageSize: SIDE },
    settings: { 'vision.projector.scale_factor': pooled, ...(kvHeads !== sizes.heads && { 'vision.attention.head_count_kv': kvHeads }) },
    tensors: tensors.map(tensor => {
      if (tensor.name === 'v.patch_embd.weight') return byChannel(tensor, sizes.patch);
      return tensor.shape.length === 0 ? { ...tensor, shape: [1] } : tensor;
    }),
  };
}
