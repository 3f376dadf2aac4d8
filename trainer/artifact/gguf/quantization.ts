/** Which GGUF type each tensor gets: the mixtures that llama.cpp's own quantizer makes under these names. */
import type { GgufExportType } from '../../catalog/artifacts.ts';
import { GGUF_TYPES, type GgufType } from '../../format/gguf/gguf-types.ts';

/** Types that are no mixtures of their own go by one name everywhere. */
export type NamedType = Exclude<GgufExportType, 'auto' | 'base'>;

/** `general.file_type`, by llama.cpp's list. */
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

/** Values of a block of 32 and of a K-quant. */
const [BLOCK, SUPER_BLOCK] = [32, 256];

/** For rows that K-quants do not divide. */
const BY_32: Readonly<Record<string, string>> = { Q4_K: 'Q5_0', Q5_K: 'Q5_1', Q6_K: 'Q8_0' };

const byName = new Map([...GGUF_TYPES.values()].map(type => [type.name, type]));

/** @throws Error for a name that is not in the table */
export function ggufTypeNamed(name: string): GgufType {
  const type = byName.get(name);
  if (type === undefined) throw new Error(`no GGUF type ${name}`);
  return type;
}

/** The type of trained tensors whose own has few bits: half a step of it is 0.4% of the largest number of a block. */
export const RAISED: NamedType = 'Q8_0';

/** Whether half a step of a type may be more than what training changes. */
export const isCoarse = ({ blockBytes, blockElements }: GgufType): boolean => blockBytes < blockElements;

/** The same of a mixture by its name, whose matrices are of one type for the most part. */
const isCoarseName = (type: NamedType): boolean => isCoarse(ggufTypeNamed(type.replace(/_M$/, '')));

/** The precision of trained numbers, with the type that keeps more of them. */
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
  /** llama.cpp's name. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly blocks: number;
  /** The embedding is the output head too. */
  readonly tied: boolean;
  /** The number of experts of a block; 0 without a mixture. */
  readonly experts: number;
}

/** Vectors stay float32; so do all norms, biases of experts, routers and convolutions, which llama.cpp computes with as they are. */
const EXACT = /\.(ffn_gate_inp|ssm_conv1d|ssm_norm|shortconv\.conv)\.weight$|\.bias$|\.ssm_[ad]$/;

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

/** The first and last eighths of the blocks, and every third between, where an error costs most. */
function hasMoreBits(block: number, blocks: number): boolean {
  const eighth = Math.floor(blocks / 8);
  return block < eighth || block >= Math.floor((7 * blocks) / 8) || (block - eighth) % 3 === 2;
}

/** Mixtures of so many experts have more bits in attention, which is small next to them. */
const FEW_EXPERTS = 8;

function mixed(wanted: NamedType, { name, blocks, tied, experts }: TensorPlace): string {
  const [, block, stem = name] = /^blk\.(\d+)\.(\w+)\./.exec(name) ?? [];
  const isQuantized = ggufTypeOf(wanted).dtype === 'GGML';
  const isHead = name === 'output.weight' || (tied && name === 'token_embd.weight');
  if (isHead && isQuantized && wanted !== 'Q8_0') return 'Q6_K';
  if (!wanted.endsWith('_M')) return wanted;
  const usual = ggufTypeOf(wanted).name;
  if (experts === FEW_EXPERTS && (stem === 'attn_v' || stem === 'attn_k')) return 'Q8_0';
  if (experts === FEW_EXPERTS && stem === 'attn_output' && usual === 'Q4_K') return 'Q5_K';
  if ((stem === 'attn_v' || stem === 'ffn_down' || stem === 'ffn_down_exps') && hasMoreBits(Number(block), blocks)) return 'Q6_K';
  if (stem === 'attn_qkv') return usual === 'Q4_K' ? 'Q5_K' : 'Q6_K';
  return usual;
}

/** The type that a name stands for, most of the tensors' of a mixture. */
const ggufTypeOf = (name: NamedType): GgufType => ggufTypeNamed(name.replace(/_M$/, ''));
