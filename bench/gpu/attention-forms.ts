/** The forms of attention that the GPU kit tries as one kernel of the device. */
import type { AttentionForm } from '../../trainer/plan/choices/check-attention.ts';

/** Forms with heads of 64 dimensions, as in SmolLM2 and BERT, and of 128, as in Llama and Qwen3. */
const small = { compute: 'bfloat16', headDim: 64, group: 3, tokens: 512, scale: 64 ** -0.5, causal: true, isPadded: false } as const;
const large = { ...small, headDim: 128, group: 4, scale: 128 ** -0.5 } as const;

export const attentionForms: readonly AttentionForm[] = [
  small,
  large,
  { ...large, group: 1 },
  { ...large, tokens: 413 },
  { ...large, window: 4096 },
  { ...small, group: 1, causal: false },
  { ...small, group: 1, causal: false, isPadded: true },
  { ...small, group: 1, isPadded: true },
  // Supported by cards newer than the A100.
  { ...large, headDim: 256, scale: 1 / 16 },
];

/** Describes a form: "attention: 4 × 128 numbers, 512 tokens, causal, window". */
export function describeForm({ headDim, group, tokens, causal, window, isPadded }: AttentionForm): string {
  const parts = [causal ? 'causal' : 'all keys', window === undefined ? '' : 'window', isPadded ? 'filled up' : ''];
  return `attention: ${group} × ${headDim} numbers, ${tokens} tokens, ${parts.filter(part => part !== '').join(', ')}`;
}
