/** llama.cpp's tensor names ⇄ Hugging Face's, for the decoder families that share Llama's layout and differ in a few names (`gguf-families.ts`). */

const GLOBAL: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  // LFM2's norm behind the last block, which llama.cpp names so.
  token_embd_norm: 'model.embedding_norm',
  output: 'lm_head',
  per_layer_token_embd: 'model.embed_tokens_per_layer',
  per_layer_model_proj: 'model.per_layer_model_projection',
  per_layer_proj_norm: 'model.per_layer_projection_norm',
};

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

/** Tensors that hold no weights of the Hugging Face model: rotary frequency factors, which become part of the config. */
export const ROPE_FACTORS = 'rope_freqs.weight';
/** The factors of longrope, for texts up to the original length and for longer ones. */
export const ROPE_FACTORS_BY_LENGTH: Readonly<Record<'short' | 'long', string>> = {
  short: 'rope_factors_short.weight',
  long: 'rope_factors_long.weight',
};

/** Undefined for a name that a family does not have. @param own its names in a block that are not Llama's */
export function huggingFaceName(name: string, own: Readonly<Record<string, string>> = {}): string | undefined {
  const match = /^(?:blk\.(\d{1,5})\.)?(\w+(?:\.\w+)?)\.(weight|bias|scale)$/.exec(name);
  const [, bareBlock, bare = ''] = /^blk\.(\d{1,5})\.(ssm_[ad])$/.exec(name) ?? [];
  if (bareBlock !== undefined) return Object.hasOwn(own, bare) ? `model.layers.${Number(bareBlock)}.${own[bare]}` : undefined;
  const [, block, stem, suffix] = match ?? [];
  if (stem === undefined || suffix === undefined) return undefined;
  const table: Readonly<Record<string, string>> = block === undefined ? GLOBAL : { ...BLOCK, ...own };
  const whole = `${stem}.${suffix}`;
  const found = Object.hasOwn(table, whole)
    ? table[whole]
    : suffix !== 'scale' && Object.hasOwn(table, stem)
      ? `${table[stem]}.${suffix}`
      : undefined;
  return found && `${block === undefined ? '' : `model.layers.${Number(block)}.`}${found}`;
}

/** The inverse of `huggingFaceName`. Undefined for a tensor that a family has no name for. */
export function ggufName(name: string, own: Readonly<Record<string, string>> = {}): string | undefined {
  const [, block, rest = ''] = /^(?:model\.layers\.(\d{1,5})\.)?(.+)$/.exec(name) ?? [];
  const tables = block === undefined ? [GLOBAL] : [own, BLOCK];
  const found = tables
    .flatMap(table => Object.entries(table))
    .flatMap(([stem, inBlock]) =>
      inBlock === rest && (BARE.includes(stem) || WHOLE.some(end => stem.endsWith(end)))
        ? [stem]
        : SUFFIXES.filter(end => inBlock + end === rest).map(end => stem + end),
    )
    .at(0);
  return found && `${block === undefined ? '' : `blk.${Number(block)}.`}${found}`;
}

/** The tensors whose names have no end. */
const BARE: readonly string[] = ['ssm_a', 'ssm_d'];
const SUFFIXES = ['.weight', '.bias'] as const;
/** The ends of names that a family lists whole. */
const WHOLE = [...SUFFIXES, '.scale'] as const;

/**
 * For arch llama the converter interleaves the two halves of each head of q and k. The row of the file that holds row `row` of
 * Hugging Face's order (`headDim` rows a head).
 */
export function permutedRow(row: number, headDim: number): number {
  const within = row % headDim;
  const half = headDim / 2;
  return row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
}
