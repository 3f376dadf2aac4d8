/** The names of a vision transformer's tensors: as Transformers saves them, and as timm does. */

export interface VitNames {
  readonly classToken: string;
  readonly distillationToken: string;
  readonly positions: string;
  readonly patches: string;
  readonly finalNorm: string;
  /** The heads on the class token and on the distillation token. */
  readonly heads: readonly [string, string];
  readonly block: (layer: number) => BlockNames;
}

export interface BlockNames {
  /** Queries, keys and values; or the one layer that gives all three. */
  readonly qkv: readonly [string, string, string] | string;
  readonly o: string;
  readonly up: string;
  readonly down: string;
  readonly inputNorm: string;
  readonly middleNorm: string;
}

export const transformersNames = (prefix: string, hasTeacherHead: boolean): VitNames => ({
  classToken: `${prefix}embeddings.cls_token`,
  distillationToken: `${prefix}embeddings.distillation_token`,
  positions: `${prefix}embeddings.position_embeddings`,
  patches: `${prefix}embeddings.patch_embeddings.projection`,
  finalNorm: `${prefix}layernorm`,
  heads: hasTeacherHead ? ['cls_classifier', 'distillation_classifier'] : ['classifier', ''],
  block: layer => {
    const at = `${prefix}encoder.layer.${layer}`;
    const attends = `${at}.attention.attention`;
    return {
      qkv: [`${attends}.query`, `${attends}.key`, `${attends}.value`],
      o: `${at}.attention.output.dense`,
      up: `${at}.intermediate.dense`,
      down: `${at}.output.dense`,
      inputNorm: `${at}.layernorm_before`,
      middleNorm: `${at}.layernorm_after`,
    };
  },
});

/** @param prefix empty in timm's own files; `timm_model.` where Transformers wraps them */
export const timmNames = (prefix: string): VitNames => ({
  classToken: `${prefix}cls_token`,
  distillationToken: `${prefix}dist_token`,
  positions: `${prefix}pos_embed`,
  patches: `${prefix}patch_embed.proj`,
  finalNorm: `${prefix}norm`,
  heads: [`${prefix}head`, `${prefix}head_dist`],
  block: layer => {
    const at = `${prefix}blocks.${layer}`;
    return {
      qkv: `${at}.attn.qkv`,
      o: `${at}.attn.proj`,
      up: `${at}.mlp.fc1`,
      down: `${at}.mlp.fc2`,
      inputNorm: `${at}.norm1`,
      middleNorm: `${at}.norm2`,
    };
  },
});
