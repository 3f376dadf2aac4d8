/** Names of a decoder's tensors. A norm or a layer that a family does not have has no name. */

export interface DecoderNames {
  readonly embedding: string;
  readonly finalNorm: string;
  readonly head: string;
  readonly block: (layer: number) => BlockNames;
}

export interface BlockNames {
  readonly q: string;
  readonly k: string;
  readonly v: string;
  readonly o: string;
  /** Norms of each head's queries and keys. */
  readonly qNorm: string;
  readonly kNorm: string;
  readonly gate: string;
  readonly up: string;
  readonly down: string;
  /** Before attention and before the MLP. */
  readonly attentionNorm: string;
  readonly mlpNorm: string;
}

/** As Llama's, which most decoders took over. */
export const llamaNames: DecoderNames = {
  embedding: 'model.embed_tokens',
  finalNorm: 'model.norm',
  head: 'lm_head',
  block: layer => {
    const at = `model.layers.${layer}`;
    return {
      q: `${at}.self_attn.q_proj`,
      k: `${at}.self_attn.k_proj`,
      v: `${at}.self_attn.v_proj`,
      o: `${at}.self_attn.o_proj`,
      qNorm: `${at}.self_attn.q_norm`,
      kNorm: `${at}.self_attn.k_norm`,
      gate: `${at}.mlp.gate_proj`,
      up: `${at}.mlp.up_proj`,
      down: `${at}.mlp.down_proj`,
      attentionNorm: `${at}.input_layernorm`,
      mlpNorm: `${at}.post_attention_layernorm`,
    };
  },
};
