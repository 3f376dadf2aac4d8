/** Chooses the GGUF type of each tensor, with the mixtures that llama.cpp's own quantizer uses under these names. */
import type { GgufExportType } from '../../catalog/artifacts.ts';
import { GGUF_TYPES, type GgufType } from '../../format/gguf/gguf-types.ts';

/** The named types; those that are not mixtures have one name everywhere. */
export type NamedType = Exclude<GgufExportType, 'auto' | 'base'>;

/** Values of `general.file_type` from llama.cpp's list. */
export const FILE_TYPES: Readonly<Record<NamedType, number>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q8_0: 7,
  Q5_0: 8,
  Q5_1: 9,
  Q4_K_M: 15,
  Q5_K_M: 17,
  Q6_K: 18,
  BF16: 32,
};

/** Number of values in a block of 32-value types and of K-quants. */
const [BLOCK, SUPER_BLOCK] = [32, 256];

/** Replacements for rows whose length is not a multiple of a K-quant's block. */
const BY_32: Readonly<Record<string, string>> = { Q4_K: 'Q5_0', Q5_K: 'Q5_1', Q6_K: 'Q8_0' };

const byName = new Map([...GGUF_TYPES.values()].map(type => [type.name, type]));

/** @throws Error for a name that is not in the table */
export function ggufTypeNamed(name: string): GgufType {
  const type = byName.get(name);
  if (type === undefined) throw new Error(`no GGUF type ${name}`);
  return type;
}

/** The type for trained tensors whose own type has few bits: half a step is 0.4% of the largest value of a block. */
export const RAISED: NamedType = 'Q8_0';

/** True if half a step of a type may exceed the changes of training. */
export const isCoarse = ({ blockBytes, blockElements }: GgufType): boolean => blockBytes < blockElements;

/** The same for a type name; most matrices of a mixture have one type. */
const isCoarseName = (type: NamedType): boolean => isCoarse(ggufTypeNamed(type.replace(/_M$/, '')));

/** The precision of trained parameters, and a type that preserves more of them. */
export function precisionOf(
  type: GgufExportType,
  isBaseCoarse: boolean,
  isBaseGguf: boolean,
): { readonly finer?: string; readonly isCoarse?: boolean } {
  if (type === 'F32') return {};
  if (type === 'F16' || type === 'BF16' || (type === 'base' && !isBaseGguf && !isBaseCoarse)) return { finer: 'F32' };
  const isCoarse = type === 'base' ? isBaseCoarse : type !== 'auto' && isCoarseName(type);
  return { finer: isCoarse ? RAISED : 'F16', isCoarse };
}

export interface TensorPlace {
  /** llama.cpp's name for the tensor. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly blocks: number;
  /** Whether the embedding is also the output head. */
  readonly tied: boolean;
  /** Number of experts per block; 0 without a mixture. */
  readonly experts: number;
}

/**
 * Tensors that stay float32, like vectors: llama.cpp computes with norms, expert biases, routers and convolutions without conversion, and adds
 * learned positions.
 */
const EXACT = /\.(ffn_gate_inp|ssm_conv1d|ssm_norm|shortconv\.conv)\.weight$|^position_embd\.weight$|\.bias$|\.ssm_[ad]$/;

export function typeOfTensor(wanted: NamedType | 'MXFP4', place: TensorPlace): GgufType {
  if (place.shape.length < 2 || EXACT.test(place.name)) return ggufTypeNamed('F32');
  if (wanted === 'MXFP4') return ggufTypeNamed(wanted);
  const name = mixed(wanted, place);
  const columns = place.shape.at(-1) ?? 1;
  const { blockElements } = ggufTypeNamed(name);
  if (columns % blockElements === 0) return ggufTypeNamed(name);
  const smaller = blockElements === SUPER_BLOCK && columns % BLOCK === 0 ? BY_32[name] : 'F16';
  return ggufTypeNamed(smaller ?? 'F16');
}

/** Tensors of Gemma 3n and 4 that llama.cpp's quantizer leaves out (`src/llama-quant.cpp`). */
const UNQUANTIZED = /\.(altup|laurel)_|^(altup_\w+|per_layer_model_proj)\.weight$/;

/** True for the first and last eighths of the blocks and every third block between, where errors cost most. */
function hasMoreBits(block: number, blocks: number): boolean {
  const eighth = Math.floor(blocks / 8);
  return block < eighth || block >= Math.floor((7 * blocks) / 8) || (block - eighth) % 3 === 2;
}

/** Number of experts from which attention, which is then comparatively small, gets more bits. */
const MIXTRAL_EXPERTS = 8;

function mixed(wanted: NamedType, { name, blocks, tied, experts }: TensorPlace): string {
  const [, block, stem = name] = /^blk\.(\d+)\.(\w+)\./.exec(name) ?? [];
  const isQuantized = ggufTypeOf(wanted).dtype === 'GGML';
  const isHead = name === 'output.weight' || (tied && name === 'token_embd.weight');
  if (isQuantized && UNQUANTIZED.test(name)) return 'F16';
  if (isHead && isQuantized && wanted !== 'Q8_0') return 'Q6_K';
  if (!wanted.endsWith('_M')) return wanted;
  const usual = ggufTypeOf(wanted).name;
  if (experts === MIXTRAL_EXPERTS && (stem === 'attn_v' || stem === 'attn_k')) return 'Q8_0';
  if (experts === MIXTRAL_EXPERTS && stem === 'attn_output' && usual === 'Q4_K') return 'Q5_K';
  if ((stem === 'attn_v' || stem === 'ffn_down' || stem === 'ffn_down_exps') && hasMoreBits(Number(block), blocks)) return 'Q6_K';
  if (stem === 'attn_qkv') return usual === 'Q4_K' ? 'Q5_K' : 'Q6_K';
  return usual;
}

/** The type for a name; for a mixture, that of most of its tensors. */
const ggufTypeOf = (name: NamedType): GgufType => ggufTypeNamed(name.replace(/_M$/, ''));
