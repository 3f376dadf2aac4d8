/**
 * llama.cpp's tensor names ⇄ Hugging Face's, for the decoder families that share Llama's layout and differ in a few names
 * (`gguf-families.ts`).
 */

import type { GgufFamily } from './families/gguf-family.ts';

const GLOBAL: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  // llama.cpp's name for LFM2's final norm.
  token_embd_norm: 'model.embedding_norm',
  output: 'lm_head',
  per_layer_token_embd: 'model.embed_tokens_per_layer',
  per_layer_model_proj: 'model.per_layer_model_projection',
  per_layer_proj_norm: 'model.per_layer_projection_norm',
};

/** Tensors outside blocks that only some families have. */
const RARE: readonly string[] = ['position_embd', 'altup_proj', 'altup_unembd_proj'];

/** The names outside blocks, of which a family may have others. */
const globalNames = (own: Readonly<Record<string, string>>): Readonly<Record<string, string>> => ({
  ...GLOBAL,
  ...Object.fromEntries(Object.entries(own).filter(([stem]) => Object.hasOwn(GLOBAL, stem) || RARE.includes(stem))),
});

const BLOCK: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

/** The tensor of rotary frequency factors, which becomes part of the config: it holds no weights of the Hugging Face model. */
export const ROPE_FACTORS = 'rope_freqs.weight';
/** The factors of longrope, for texts up to the original length and for longer texts. */
export const ROPE_FACTORS_BY_LENGTH: Readonly<Record<'short' | 'long', string>> = {
  short: 'rope_factors_short.weight',
  long: 'rope_factors_long.weight',
};

/** The names of a family: see `GgufFamily`. */
export type FamilyNames = Pick<GgufFamily, 'names' | 'blocksAt'>;

const LLAMA: FamilyNames = { names: {} };
const BLOCKS_AT = 'model.layers';

/** The path of a block in Hugging Face's names. */
export const blockName = ({ blocksAt = BLOCKS_AT }: Pick<FamilyNames, 'blocksAt'>, block: number): string => `${blocksAt}.${block}`;

/** Returns the Hugging Face name; undefined for a name that the family does not have. */
export function huggingFaceName(name: string, family: FamilyNames = LLAMA): string | undefined {
  const { names: own } = family;
  const match = /^(?:blk\.(\d{1,5})\.)?(\w+(?:\.\w+)?)\.(weight|bias|scale)$/.exec(name);
  const [, bareBlock, bare = ''] = /^blk\.(\d{1,5})\.(\w+)$/.exec(name) ?? [];
  if (bareBlock !== undefined) {
    const inBlock = Object.hasOwn(own, bare) ? own[bare] : undefined;
    return inBlock !== undefined && isBare(bare, inBlock) ? `${blockName(family, Number(bareBlock))}.${inBlock}` : undefined;
  }
  const [, block, stem, suffix] = match ?? [];
  if (stem === undefined || suffix === undefined) return undefined;
  const table: Readonly<Record<string, string>> = block === undefined ? globalNames(own) : { ...BLOCK, ...own };
  const whole = `${stem}.${suffix}`;
  const found = Object.hasOwn(table, whole)
    ? table[whole]
    : suffix !== 'scale' && Object.hasOwn(table, stem)
      ? `${table[stem]}.${suffix}`
      : undefined;
  return found && `${block === undefined ? '' : `${blockName(family, Number(block))}.`}${found}`;
}

/** The inverse of `huggingFaceName`. Returns undefined for a tensor without a name in the family. */
export function ggufName(name: string, { names: own, blocksAt = BLOCKS_AT }: FamilyNames = LLAMA): string | undefined {
  const begin = `${blocksAt}.`;
  const within = name.startsWith(begin) ? /^(\d{1,5})\.(.+)$/.exec(name.slice(begin.length)) : null;
  const [, block, rest = name] = within ?? [];
  const tables = block === undefined ? [globalNames(own)] : [own, BLOCK];
  const found = tables
    .flatMap(table => Object.entries(table))
    .flatMap(([stem, inBlock]) =>
      inBlock === rest && (isBare(stem, inBlock) || WHOLE.some(end => stem.endsWith(end)))
        ? [stem]
        : SUFFIXES.filter(end => inBlock + end === rest).map(end => stem + end),
    )
    .at(0);
  return found && `${block === undefined ? '' : `blk.${Number(block)}.`}${found}`;
}

/** Tensors whose names have no ending in all families. */
const BARE: readonly string[] = ['ssm_a', 'ssm_d'];
const isBare = (stem: string, inBlock: string): boolean => BARE.includes(stem) || inBlock.endsWith('.weight');
const SUFFIXES = ['.weight', '.bias'] as const;
/** The endings of names that a family lists in full. */
const WHOLE = [...SUFFIXES, '.scale'] as const;

/**
 * The file's row for row `row` in Hugging Face's order, with `headDim` rows per head: for arch llama, the converter interleaves the two
 * halves of each head of q and k.
 */
export function permutedRow(row: number, headDim: number): number {
  const within = row % headDim;
  const half = headDim / 2;
  return row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
}
