/** The multipliers of a config that llama.cpp's files have inside the weights (Falcon-H1, `conversion/falcon_h1.py`). */
import type { Multiplier } from '../../format/gguf/families/gguf-family.ts';
import type { DecoderConfig } from '../../model/family/decoder/blocks/decoder-config.ts';
import type { DecoderMamba } from '../../model/family/decoder/blocks/mamba.ts';
import { elementAt } from '../../narrow.ts';

/** The scale of scores without a multiplier of keys. */
const usualScale = ({ attention }: DecoderConfig): number => elementAt(attention.layers, 0).headDim ** -0.5;

/** The multipliers by llama.cpp's names. */
export function weightMultipliers(decoder: DecoderConfig): Readonly<Record<string, Multiplier>> {
  const { attention, mlp, mamba } = decoder;
  const { inputMultiplier } = attention;
  return {
    token_embd: [decoder.embeddingMultiplier.factor],
    output: [decoder.logitMultiplier],
    attn_q: [inputMultiplier],
    attn_k: [attention.scale / usualScale(decoder), inputMultiplier],
    attn_v: [inputMultiplier],
    attn_output: [attention.outputMultiplier],
    ...(mlp.multipliers && { ffn_gate: [mlp.multipliers.gate], ffn_down: [mlp.multipliers.down] }),
    ...(mamba?.multipliers && {
      ssm_in: [mamba.multipliers.input, Float32Array.from(ofSections(mamba, mamba.multipliers.sections))],
      ssm_out: [mamba.multipliers.output],
    }),
  };
}

/** The factor of each row of Mamba's first product: those of gates, values, B, C and time steps. */
function ofSections({ heads, headDim, groups, stateDim }: DecoderMamba, sections: readonly number[]): number[] {
  const rows = [heads * headDim, heads * headDim, groups * stateDim, groups * stateDim, heads];
  return rows.flatMap((count, i) => Array<number>(count).fill(elementAt(sections, i)));
}

/** The decoder that computes with multiplied weights. A head that is the embedding keeps the part that its file would lack. */
export const withMultipliedWeights = (decoder: DecoderConfig): DecoderConfig => ({
  ...decoder,
  attention: { ...decoder.attention, inputMultiplier: 1, outputMultiplier: 1, scale: usualScale(decoder) },
  mlp: { ...decoder.mlp, multipliers: undefined },
  mamba: decoder.mamba && { ...decoder.mamba, multipliers: { input: 1, sections: [1, 1, 1, 1, 1], output: 1 } },
  embeddingMultiplier: { ...decoder.embeddingMultiplier, factor: 1 },
  logitMultiplier: decoder.tied ? decoder.logitMultiplier / decoder.embeddingMultiplier.factor : 1,
});
