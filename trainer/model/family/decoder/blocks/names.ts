/** Names of a decoder's tensors. A norm or a layer that a family does not have has no name, and is not built. */

export interface DecoderNames {
  readonly embedding: string;
  readonly finalNorm: string;
  readonly head: string;
  /** The modules that make the inputs of all blocks. */
  readonly layerInputs: { readonly table: string; readonly projection: string; readonly norm: string };
  readonly block: (layer: number) => BlockNames;
}

export interface BlockNames {
  /** The path of the block itself. */
  readonly at: string;
  readonly q: string;
  readonly k: string;
  readonly v: string;
  /** In families that hold q, k and v in one matrix. */
  readonly qkv?: string;
  readonly o: string;
  readonly sinks: string;
  /** Norms of the queries and the keys. */
  readonly qNorm: string;
  readonly kNorm: string;
  readonly gate: string;
  readonly up: string;
  /** In families that hold both in one matrix, the gate first. */
  readonly gateUp?: string;
  readonly down: string;
  /** The modules by which the block takes its input, in families with one for each. */
  readonly input: { readonly gate: string; readonly projection: string; readonly norm: string };
  /** The number that multiplies the output of the block. */
  readonly scale: string;
  readonly norms: {
    readonly beforeAttention?: string;
    readonly afterAttention?: string;
    readonly beforeMlp?: string;
    readonly afterMlp?: string;
  };
}

/** The names of Hugging Face's decoders, which differ in their norms. @param prefix of all names but the head's */
const withNorms = (norms: BlockNames['norms'], prefix = 'model'): DecoderNames => ({
  embedding: `${prefix}.embed_tokens`,
  finalNorm: `${prefix}.norm`,
  head: 'lm_head',
  layerInputs: {
    table: `${prefix}.embed_tokens_per_layer`,
    projection: `${prefix}.per_layer_model_projection`,
    norm: `${prefix}.per_layer_projection_norm`,
  },
  block: layer => {
    const at = `${prefix}.layers.${layer}`;
    return {
      at,
      q: `${at}.self_attn.q_proj`,
      k: `${at}.self_attn.k_proj`,
      v: `${at}.self_attn.v_proj`,
      o: `${at}.self_attn.o_proj`,
      sinks: `${at}.self_attn.sinks`,
      qNorm: `${at}.self_attn.q_norm`,
      kNorm: `${at}.self_attn.k_norm`,
      gate: `${at}.mlp.gate_proj`,
      up: `${at}.mlp.up_proj`,
      down: `${at}.mlp.down_proj`,
      input: {
        gate: `${at}.per_layer_input_gate`,
        projection: `${at}.per_layer_projection`,
        norm: `${at}.post_per_layer_input_norm`,
      },
      scale: `${at}.layer_scalar`,
      norms: Object.fromEntries(Object.entries(norms).map(([place, name]) => [place, `${at}.${name}`])),
    };
  },
});

/** Llama's, which most decoders took over. */
const before = { beforeAttention: 'input_layernorm', beforeMlp: 'post_attention_layernorm' } as const;
export const llamaNames = withNorms(before);

const around = {
  beforeAttention: 'input_layernorm',
  afterAttention: 'post_attention_layernorm',
  beforeMlp: 'pre_feedforward_layernorm',
  afterMlp: 'post_feedforward_layernorm',
} as const;

export const gemmaNames = withNorms(around);
/** The decoders inside models that also see images. */
const TEXT_PART = 'model.language_model';
export const gemmaTextNames = withNorms(around, TEXT_PART);
export const llamaTextNames = withNorms(before, TEXT_PART);

/** The name that a tensor of a text part has in the file of the decoder alone; that of another tensor as it is. */
export const nameInDecoder = (name: string): string => (name.startsWith(`${TEXT_PART}.`) ? `model${name.slice(TEXT_PART.length)}` : name);

export const olmoNames = withNorms({ afterAttention: 'post_attention_layernorm', afterMlp: 'post_feedforward_layernorm' });

/** Queries, keys and values in one matrix, and gate and up in another. */
export const phi3Names: DecoderNames = {
  ...llamaNames,
  block: layer => ({
    ...llamaNames.block(layer),
    qkv: `model.layers.${layer}.self_attn.qkv_proj`,
    gateUp: `model.layers.${layer}.mlp.gate_up_proj`,
  }),
};
