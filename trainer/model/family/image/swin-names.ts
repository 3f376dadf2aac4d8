/** The names of a Swin transformer's tensors in files of Transformers and of timm. */
import type { PreNormNames } from '../pre-norm-block.ts';

export interface SwinNames {
  readonly patches: string;
  readonly patchNorm: string;
  /** Positions that are added to patches, if the model has any. */
  readonly positions: string;
  readonly block: (stage: number, block: number) => PreNormNames & { readonly relative: string };
  /** The layers that halve the image after a stage. */
  readonly merging: (stage: number) => { readonly norm: string; readonly reduction: string };
  readonly finalNorm: string;
  readonly head: string;
}

export const transformersNames = (prefix: string): SwinNames => ({
  patches: `${prefix}embeddings.patch_embeddings.projection`,
  patchNorm: `${prefix}embeddings.norm`,
  positions: `${prefix}embeddings.position_embeddings`,
  block: (stage, block) => {
    const at = `${prefix}encoder.layers.${stage}.blocks.${block}`;
    return {
      qkv: [`${at}.attention.self.query`, `${at}.attention.self.key`, `${at}.attention.self.value`],
      o: `${at}.attention.output.dense`,
      mlp: `${at}.intermediate.dense`,
      down: `${at}.output.dense`,
      inputNorm: `${at}.layernorm_before`,
      middleNorm: `${at}.layernorm_after`,
      relative: `${at}.attention.self.relative_position_bias_table`,
    };
  },
  merging: stage => {
    const at = `${prefix}encoder.layers.${stage}.downsample`;
    return { norm: `${at}.norm`, reduction: `${at}.reduction` };
  },
  finalNorm: `${prefix}layernorm`,
  head: 'classifier',
});

/** @param prefix empty in timm's own files; `timm_model.` in files of Transformers' wrapper */
export const timmNames = (prefix: string): SwinNames => ({
  patches: `${prefix}patch_embed.proj`,
  patchNorm: `${prefix}patch_embed.norm`,
  positions: '',
  block: (stage, block) => {
    const at = `${prefix}layers.${stage}.blocks.${block}`;
    return {
      qkv: `${at}.attn.qkv`,
      o: `${at}.attn.proj`,
      mlp: `${at}.mlp.fc1`,
      down: `${at}.mlp.fc2`,
      inputNorm: `${at}.norm1`,
      middleNorm: `${at}.norm2`,
      relative: `${at}.attn.relative_position_bias_table`,
    };
  },
  // timm merges at the start of the next stage.
  merging: stage => {
    const at = `${prefix}layers.${stage + 1}.downsample`;
    return { norm: `${at}.norm`, reduction: `${at}.reduction` };
  },
  finalNorm: `${prefix}norm`,
  head: `${prefix}head.fc`,
});
