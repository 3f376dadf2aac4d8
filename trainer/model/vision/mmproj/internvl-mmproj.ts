/** The encoder of InternVL in llama.cpp's files. */
import type { ParameterSpec } from '../../module-specs.ts';
import { commonReason, type Mmproj, type MmprojNames, type MmprojSizes, type NoMmproj, renamed } from './mmproj.ts';

export interface InternVlFile {
  readonly parameters: readonly ParameterSpec[];
  readonly sizes: MmprojSizes;
  /** True for towers with root-mean-square norms, norms of queries and keys, or a norm behind the last block. */
  readonly hasOtherNorms: boolean;
  /** Side of a tile in pixels. */
  readonly tile: number;
  readonly joined: number;
  readonly counts: { readonly least: number; readonly most: number };
  readonly scale: { readonly rescale: number };
}

const TOWER = 'model.vision_tower.';
const BLOCK = `${TOWER}encoder.layer.{}.`;
const PROJECTOR = 'model.multi_modal_projector.';
const NAMES: MmprojNames = {
  'v.class_embd': `${TOWER}embeddings.cls_token`,
  'v.position_embd.weight': `${TOWER}embeddings.position_embeddings`,
  'v.patch_embd': `${TOWER}embeddings.patch_embeddings.projection`,
  'v.blk.{}.ln1': `${BLOCK}layernorm_before`,
  'v.blk.{}.ln2': `${BLOCK}layernorm_after`,
  'v.blk.{}.attn_q': `${BLOCK}attention.q_proj`,
  'v.blk.{}.attn_k': `${BLOCK}attention.k_proj`,
  'v.blk.{}.attn_v': `${BLOCK}attention.v_proj`,
  'v.blk.{}.attn_out': `${BLOCK}attention.projection_layer`,
  'v.blk.{}.ls1.weight': `${BLOCK}lambda_1`,
  'v.blk.{}.ls2.weight': `${BLOCK}lambda_2`,
  'v.blk.{}.ffn_up': `${BLOCK}mlp.fc1`,
  'v.blk.{}.ffn_down': `${BLOCK}mlp.fc2`,
  'mm.model.mlp.0': `${PROJECTOR}layer_norm`,
  'mm.model.mlp.1': `${PROJECTOR}linear_1`,
  'mm.model.mlp.3': `${PROJECTOR}linear_2`,
};

/**
 * llama.cpp puts the class token behind the patches, and takes the table of positions in order, where the class token's is the first:
 * each patch would get the position of its neighbor (ggml-org/llama.cpp#25814).
 */
const classLast = (table: Float32Array, hiddenSize: number): Float32Array => {
  const out = new Float32Array(table.length);
  out.set(table.subarray(hiddenSize));
  out.set(table.subarray(0, hiddenSize), table.length - hiddenSize);
  return out;
};

export function internVlMmproj(file: InternVlFile): Mmproj | NoMmproj {
  const { parameters, sizes, hasOtherNorms, tile, joined, counts, scale } = file;
  const reason = commonReason(scale, sizes);
  if (reason !== undefined) return { reason };
  if (hasOtherNorms) return { reason: 'the tower has norms that llama.cpp computes in the largest InternVL alone' };
  if (tile !== sizes.imageSize)
    return { reason: `tiles have ${tile} pixels per side, and llama.cpp takes them of image_size, ${sizes.imageSize}` };
  return {
    projector: 'internvl',
    sizes,
    settings: {
      'vision.projector.scale_factor': joined,
      'vision.preproc_min_tiles': counts.least,
      'vision.preproc_max_tiles': counts.most,
    },
    tensors: renamed(parameters, NAMES).map(tensor =>
      tensor.name === 'v.position_embd.weight' ? { ...tensor, values: table => classLast(table, sizes.hiddenSize) } : tensor,
    ),
  };
}
