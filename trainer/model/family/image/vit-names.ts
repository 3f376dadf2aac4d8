/** The names of a vision transformer's tensors in files of Transformers and of timm. */
import type { ModuleSpec } from '../../module-specs.ts';
import type { PreNormNames, ScaleName } from '../pre-norm-block.ts';

export interface TowerNames {
  /** The tokens before the patches: the class token, then a distillation token or registers. */
  readonly tokens: readonly string[];
  readonly positions: string;
  readonly patches: string;
  readonly finalNorm: string;
  readonly block: (layer: number) => PreNormNames;
  /** Returns the module with the forms that files may use for it, if they have other names. */
  readonly inFiles?: <Spec extends ModuleSpec>(module: Spec) => Spec;
}

export interface VitNames extends TowerNames {
  /** The heads on the class token and on the distillation token. */
  readonly heads: readonly string[];
}

const scaleName = (name: string, weight: string): ScaleName => ({ name, weight: `${name}.${weight}` });

/** A scale without a module of its own. */
const bareScale = (name: string): ScaleName => ({ name, weight: name });

export const transformersNames = (prefix: string, hasTeacherHead: boolean): VitNames => ({
  tokens: [`${prefix}embeddings.cls_token`, `${prefix}embeddings.distillation_token`],
  positions: `${prefix}embeddings.position_embeddings`,
  patches: `${prefix}embeddings.patch_embeddings.projection`,
  finalNorm: `${prefix}layernorm`,
  heads: hasTeacherHead ? ['cls_classifier', 'distillation_classifier'] : ['classifier'],
  block: layer => {
    const at = `${prefix}encoder.layer.${layer}`;
    return {
      ...transformersAttention(at),
      mlp: `${at}.intermediate.dense`,
      down: `${at}.output.dense`,
      inputNorm: `${at}.layernorm_before`,
      middleNorm: `${at}.layernorm_after`,
    };
  },
});

const transformersAttention = (at: string): Pick<PreNormNames, 'qkv' | 'o'> => ({
  qkv: [`${at}.attention.attention.query`, `${at}.attention.attention.key`, `${at}.attention.attention.value`],
  o: `${at}.attention.output.dense`,
});

export const dinov2Names = (prefix: string, hasFusedGate: boolean): VitNames => ({
  ...transformersNames(prefix, false),
  tokens: [`${prefix}embeddings.cls_token`, `${prefix}embeddings.register_tokens`],
  block: layer => {
    const at = `${prefix}encoder.layer.${layer}`;
    return {
      ...transformersAttention(at),
      mlp: hasFusedGate ? `${at}.mlp.weights_in` : `${at}.mlp.fc1`,
      hasFusedGate,
      down: hasFusedGate ? `${at}.mlp.weights_out` : `${at}.mlp.fc2`,
      inputNorm: `${at}.norm1`,
      middleNorm: `${at}.norm2`,
      scales: [scaleName(`${at}.layer_scale1`, 'lambda1'), scaleName(`${at}.layer_scale2`, 'lambda1')],
    };
  },
});

export const dinov3Names = (isGated: boolean): VitNames => ({
  tokens: ['embeddings.cls_token', 'embeddings.register_tokens'],
  positions: '',
  patches: 'embeddings.patch_embeddings',
  finalNorm: 'norm',
  heads: ['classifier'],
  block: layer => {
    const at = `layer.${layer}`;
    return {
      qkv: [`${at}.attention.q_proj`, `${at}.attention.k_proj`, `${at}.attention.v_proj`],
      o: `${at}.attention.o_proj`,
      mlp: isGated ? { gate: `${at}.mlp.gate_proj`, up: `${at}.mlp.up_proj` } : `${at}.mlp.up_proj`,
      down: `${at}.mlp.down_proj`,
      inputNorm: `${at}.norm1`,
      middleNorm: `${at}.norm2`,
      scales: [scaleName(`${at}.layer_scale1`, 'lambda1'), scaleName(`${at}.layer_scale2`, 'lambda1')],
    };
  },
});

/** The image tower of SigLIP. @param prefix of all names, with its dot */
export const siglipTowerNames = (prefix: string): TowerNames => ({
  tokens: [],
  positions: `${prefix}embeddings.position_embedding.weight`,
  patches: `${prefix}embeddings.patch_embedding`,
  finalNorm: `${prefix}post_layernorm`,
  block: layer => {
    const at = `${prefix}encoder.layers.${layer}`;
    return {
      qkv: [`${at}.self_attn.q_proj`, `${at}.self_attn.k_proj`, `${at}.self_attn.v_proj`],
      o: `${at}.self_attn.out_proj`,
      mlp: `${at}.mlp.fc1`,
      down: `${at}.mlp.fc2`,
      inputNorm: `${at}.layer_norm1`,
      middleNorm: `${at}.layer_norm2`,
    };
  },
});

/** The image tower of InternVL. @param prefix of all names, with its dot */
export const internVlTowerNames = (prefix: string): TowerNames => ({
  tokens: [`${prefix}embeddings.cls_token`],
  positions: `${prefix}embeddings.position_embeddings`,
  patches: `${prefix}embeddings.patch_embeddings.projection`,
  finalNorm: `${prefix}layernorm`,
  block: layer => {
    const at = `${prefix}encoder.layer.${layer}`;
    return {
      qkv: [`${at}.attention.q_proj`, `${at}.attention.k_proj`, `${at}.attention.v_proj`],
      innerNorms: [`${at}.attention.q_norm`, `${at}.attention.k_norm`],
      o: `${at}.attention.projection_layer`,
      mlp: `${at}.mlp.fc1`,
      down: `${at}.mlp.fc2`,
      inputNorm: `${at}.layernorm_before`,
      middleNorm: `${at}.layernorm_after`,
      scales: [bareScale(`${at}.lambda_1`), bareScale(`${at}.lambda_2`)],
    };
  },
});

export const siglipNames: VitNames = { ...siglipTowerNames('vision_model.'), heads: ['classifier'] };

/**
 * @param prefix empty in timm's own files; `timm_model.` in files of Transformers' wrapper
 * @param second the tokens after the class token
 */
export const timmNames = (prefix: string, second: 'dist_token' | 'reg_token' = 'dist_token'): VitNames => ({
  tokens: [`${prefix}cls_token`, `${prefix}${second}`],
  positions: `${prefix}pos_embed`,
  patches: `${prefix}patch_embed.proj`,
  finalNorm: `${prefix}norm`,
  heads: [`${prefix}head`, `${prefix}head_dist`],
  block: layer => {
    const at = `${prefix}blocks.${layer}`;
    return {
      qkv: `${at}.attn.qkv`,
      o: `${at}.attn.proj`,
      mlp: `${at}.mlp.fc1`,
      down: `${at}.mlp.fc2`,
      inputNorm: `${at}.norm1`,
      middleNorm: `${at}.norm2`,
      scales: [scaleName(`${at}.ls1`, 'gamma'), scaleName(`${at}.ls2`, 'gamma')],
    };
  },
});
