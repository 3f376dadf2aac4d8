/** Keys and names that files of mixtures of experts have in common. */
import type { GgufSizes } from './gguf-family.ts';

/** Keys that count experts. */
export const expertKeys = ['expert_count', 'expert_used_count'] as const;
/** The width of experts, where it is not that of other blocks. */
export const expertWidth = 'expert_feed_forward_length';
/** The width of the expert that computes every token. */
export const sharedWidth = 'expert_shared_feed_forward_length';

export const chosenExperts = ({ number }: GgufSizes) => ({ num_experts_per_tok: number('expert_used_count') });

export const expertNames = {
  ffn_gate_exps: 'mlp.experts.gate_proj',
  ffn_up_exps: 'mlp.experts.up_proj',
  ffn_down_exps: 'mlp.experts.down_proj',
} as const;
