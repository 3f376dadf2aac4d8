/** Names of a decoder's tensors. A norm or layer that a family does not have has no name, and is not built. */

import { type ModuleSpec, underOtherName, underOtherNames } from '../../../module-specs.ts';

export interface DecoderNames {
  readonly embedding: string;
  /** The table of positions, in families that add a learned row for each position. */
  readonly positions?: string;
  /** The norm of the embeddings, in families with one. */
  readonly embeddingNorm?: string;
  readonly finalNorm: string;
  readonly head: string;
  /** The name of the head in memory in Transformers 5, if files use another. */
  readonly headInMemory?: string;
  /** The modules that compute the inputs of all blocks. */
  readonly layerInputs: { readonly table: string; readonly projection: string; readonly norm: string };
  /** The layers at both ends of each stream but the first, in families with several streams. */
  readonly stream: (kind: 'altup_projections' | 'altup_unembed_projections', index: number) => string;
  readonly block: (layer: number) => BlockNames;
  /** Returns the module with the forms that files may use for it, in families whose files have other forms. */
  readonly inFiles?: (module: ModuleSpec) => ModuleSpec;
}

export interface BlockNames {
  /** The path of the block itself. */
  readonly at: string;
  readonly q: string;
  readonly k: string;
  readonly v: string;
  /** In families with q, k and v in one matrix. */
  readonly qkv?: string;
  readonly o: string;
  readonly sinks: string;
  /** Gates of heads, or of their features, from a layer of their own. */
  readonly gates: string;
  /** Their name in memory in Transformers 5, if files use another. */
  readonly gatesInMemory?: string;
  /** Norms of the queries and the keys. */
  readonly qNorm: string;
  readonly kNorm: string;
  /** Left out in families whose MLPs have no gate. */
  readonly gate?: string;
  readonly up: string;
  /** In families with both in one matrix, the gate first. */
  readonly gateUp?: string;
  /** Set if GGUF and MLX store them separately, under the names of the two. */
  readonly isApartInOthers?: true;
  readonly down: string;
  /** The path of the activation, in families whose activation has numbers of its own. */
  readonly xielu?: string;
  /** The modules with which the block uses its input, in families with one input per block. */
  readonly input: { readonly gate: string; readonly projection: string; readonly norm: string };
  /** The factor that multiplies the output of the block. */
  readonly scale: string;
  readonly norms: {
    readonly beforeAttention?: string;
    readonly afterAttention?: string;
    readonly beforeMlp?: string;
    readonly afterMlp?: string;
  };
  /** Other names that files may give these norms. */
  readonly otherNorms?: BlockNames['norms'];
}

/** The names of Hugging Face's decoders, which differ in their norms. @param prefix of all names but the head's, with its dot */
export const withNorms = (norms: BlockNames['norms'], prefix = 'model.'): DecoderNames => ({
  embedding: `${prefix}embed_tokens`,
  finalNorm: `${prefix}norm`,
  head: 'lm_head',
  layerInputs: {
    table: `${prefix}embed_tokens_per_layer`,
    projection: `${prefix}per_layer_model_projection`,
    norm: `${prefix}per_layer_projection_norm`,
  },
  stream: (kind, index) => `${prefix}${kind}.${index}`,
  block: layer => {
    const at = `${prefix}layers.${layer}`;
    return {
      at,
      q: `${at}.self_attn.q_proj`,
      k: `${at}.self_attn.k_proj`,
      v: `${at}.self_attn.v_proj`,
      o: `${at}.self_attn.o_proj`,
      sinks: `${at}.self_attn.sinks`,
      gates: `${at}.self_attn.gate_proj`,
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

/** Llama's names, which most decoders use. */
const before = { beforeAttention: 'input_layernorm', beforeMlp: 'post_attention_layernorm' } as const;
export const llamaNames = withNorms(before);

const around = {
  beforeAttention: 'input_layernorm',
  afterAttention: 'post_attention_layernorm',
  beforeMlp: 'pre_feedforward_layernorm',
  afterMlp: 'post_feedforward_layernorm',
} as const;

export const gemmaNames = withNorms(around);
/** The decoders inside models that also take images. */
export const TEXT_PART = 'model.language_model.';
/** The decoder inside SmolVLM and Idefics3. */
const TEXT_MODEL = 'model.text_model.';
export const gemmaTextNames = withNorms(around, TEXT_PART);
export const llamaTextNames = withNorms(before, TEXT_PART);
export const llamaTextModelNames = withNorms(before, TEXT_MODEL);

/** Names in files that do not say which part they are of, as Qwen2.5-VL's. */
export const llamaPlainTextNames: DecoderNames = {
  ...llamaNames,
  inFiles: module => ({ ...module, inMemory: module.name.replace(/^model\./, TEXT_PART) }),
};

/** UltraBERT's names, which are Llama's in memory. */
export const ultraBertNames: DecoderNames = {
  ...withNorms(before, 'ultrabert.'),
  inFiles: module => ({ ...module, inMemory: module.name.replace(/^ultrabert\./, 'model.') }),
};

/** Names in files of the decoder without its head. */
export const gemmaBareNames = withNorms(around, '');
export const llamaBareNames = withNorms(before, '');

/** The name of a text part's tensor in the file of the decoder alone; other names are unchanged. */
export const nameInDecoder = (name: string): string => {
  const part = [TEXT_PART, TEXT_MODEL].find(each => name.startsWith(each));
  return part === undefined ? name : `model.${name.slice(part.length)}`;
};

/** HyperCLOVA X's names, with additional norms after attention and MLP. */
export const hyperClovaNames = withNorms({ ...before, afterAttention: 'post_norm1', afterMlp: 'post_norm2' });

export const olmoNames = withNorms({ afterAttention: 'post_attention_layernorm', afterMlp: 'post_feedforward_layernorm' });

export const vaultGemmaNames = withNorms({ beforeAttention: 'input_layernorm', beforeMlp: 'pre_feedforward_layernorm' });

/** AFMoE's names, with norms before and after attention and MLP. */
export const afmoeNames = withNorms({
  beforeAttention: 'input_layernorm',
  afterAttention: 'post_attention_layernorm',
  beforeMlp: 'pre_mlp_layernorm',
  afterMlp: 'post_mlp_layernorm',
});

/** OLMo Hybrid's names, whose norms stand before the parts of blocks with a state, and after those of blocks with attention. */
export const olmoHybridNames = (hasState: readonly boolean[]): DecoderNames => ({
  ...olmoNames,
  block: layer => {
    const own = (hasState[layer] ? llamaNames : olmoNames).block(layer);
    const [first, second] = [`${own.at}.attention_layer_norm`, `${own.at}.feedforward_layer_norm`];
    return { ...own, otherNorms: hasState[layer] ? { beforeAttention: first, beforeMlp: second } : { afterAttention: second } };
  },
});

/** Llama's names without those of gates. */
export const arceeNames: DecoderNames = {
  ...llamaNames,
  block: layer => {
    const { gate: _, ...own } = llamaNames.block(layer);
    return own;
  },
};

/** Llama's names with others for MLPs, which have no gate. */
const withMlp = (up: string, down: string): DecoderNames => ({
  ...llamaNames,
  block: layer => ({ ...arceeNames.block(layer), up: `model.layers.${layer}.mlp.${up}`, down: `model.layers.${layer}.mlp.${down}` }),
});
export const starcoderNames = withMlp('c_fc', 'c_proj');
export const nanoChatNames: DecoderNames = { ...withMlp('fc1', 'fc2'), embeddingNorm: llamaNames.finalNorm };

/**
 * The names of ModernBERT as a decoder, with gate and up in one matrix. The first block has no norm before attention, because the embeddings
 * are normalized.
 */
export const modernBertDecoderNames: DecoderNames = {
  ...llamaNames,
  embedding: 'model.embeddings.tok_embeddings',
  embeddingNorm: 'model.embeddings.norm',
  finalNorm: 'model.final_norm',
  head: 'decoder',
  block: layer => {
    const own = llamaNames.block(layer);
    const { at } = own;
    return {
      ...own,
      ...{ q: `${at}.attn.q_proj`, k: `${at}.attn.k_proj`, v: `${at}.attn.v_proj`, o: `${at}.attn.Wo` },
      ...{ gateUp: `${at}.mlp.Wi`, down: `${at}.mlp.Wo` },
      norms: { ...(layer > 0 && { beforeAttention: `${at}.attn_norm` }), beforeMlp: `${at}.mlp_norm` },
    };
  },
};

/** Apertus's names; MLPs have no gate, and an activation with numbers of its own. */
export const apertusNames: DecoderNames = {
  ...llamaNames,
  block: layer => {
    const own = arceeNames.block(layer);
    const { at } = own;
    return {
      ...own,
      xielu: `${at}.mlp.act_fn`,
      norms: { beforeAttention: `${at}.attention_layernorm`, beforeMlp: `${at}.feedforward_layernorm` },
    };
  },
};

/** GLM's names, with gate and up in one matrix. @param prefix of all names but the head's, with its dot */
const glmNamesWith = (prefix: string): DecoderNames => ({
  ...withNorms(before, prefix),
  block: layer => {
    const own = withNorms(before, prefix).block(layer);
    return { ...own, gateUp: `${own.at}.mlp.gate_up_proj` };
  },
});
export const glmNames = glmNamesWith('model.');

/** GLM-4's names, with additional norms after attention and MLP. */
const glm4NamesWith = (prefix: string): DecoderNames => ({
  ...glmNamesWith(prefix),
  block: layer => {
    const own = glmNamesWith(prefix).block(layer);
    const { at, norms } = own;
    return { ...own, norms: { ...norms, afterAttention: `${at}.post_self_attn_layernorm`, afterMlp: `${at}.post_mlp_layernorm` } };
  },
});
export const glm4Names = glm4NamesWith('model.');
export const glm4TextNames = glm4NamesWith(TEXT_PART);

/** Kolibri's names, with GLM-4's norms, which files name differently. */
export const kolibriNames: DecoderNames = {
  ...llamaNames,
  block: layer => {
    const [own, { norms }] = [llamaNames.block(layer), glm4Names.block(layer)];
    return { ...own, norms, otherNorms: { afterAttention: `${own.at}.post_attn_norm`, afterMlp: `${own.at}.post_ffn_norm` } };
  },
};

/** Flint's names. */
export const flintNames: DecoderNames = {
  ...llamaNames,
  block: layer => ({ ...llamaNames.block(layer), sinks: `model.layers.${layer}.self_attn.softmax_offset` }),
};

/** HunYuan's names. */
export const hunYuanNames: DecoderNames = {
  ...llamaNames,
  block: layer => {
    const own = llamaNames.block(layer);
    return { ...own, qNorm: `${own.at}.self_attn.query_layernorm`, kNorm: `${own.at}.self_attn.key_layernorm` };
  },
};

/** Cohere's names, with one norm for attention and MLP. */
export const cohereNames = withNorms({ beforeAttention: 'input_layernorm' });

/** Phi's names, with one norm for attention and MLP, whose layers have no gate. */
export const phiNames: DecoderNames = {
  ...cohereNames,
  finalNorm: 'model.final_layernorm',
  block: layer => {
    const { gate: _, ...own } = cohereNames.block(layer);
    const at = `${own.at}.self_attn`;
    return {
      ...own,
      o: `${at}.dense`,
      qNorm: `${at}.q_layernorm`,
      kNorm: `${at}.k_layernorm`,
      up: `${own.at}.mlp.fc1`,
      down: `${own.at}.mlp.fc2`,
    };
  },
};

/** Granite 4's names; the MLP is the shared expert, which has Llama's names in GGUF and MLX if there are no others. */
export const graniteHybridNames: DecoderNames = {
  ...llamaNames,
  block: layer => ({
    ...llamaNames.block(layer),
    isApartInOthers: true,
    gateUp: `model.layers.${layer}.shared_mlp.input_linear`,
    down: `model.layers.${layer}.shared_mlp.output_linear`,
  }),
  inFiles: module =>
    module.name.endsWith('.output_linear') ? underOtherNames(module, [module.name.replace(/shared_mlp\.\w+$/, 'mlp.down_proj')]) : module,
};

/** Nemotron-H's, whose blocks have one norm, before the mixer or the MLP, and no gates. */
export const nemotronNames: DecoderNames = {
  ...llamaNames,
  embedding: 'backbone.embeddings',
  finalNorm: 'backbone.norm_f',
  block: layer => {
    const at = `backbone.layers.${layer}`;
    const { gate: _, ...own } = llamaNames.block(layer);
    const [norm, mixer] = [`${at}.norm`, `${at}.mixer`];
    return {
      ...own,
      at,
      ...{ q: `${mixer}.q_proj`, k: `${mixer}.k_proj`, v: `${mixer}.v_proj`, o: `${mixer}.o_proj` },
      ...{ up: `${mixer}.up_proj`, down: `${mixer}.down_proj` },
      norms: { beforeAttention: norm, beforeMlp: norm },
    };
  },
};

const falconNorms = withNorms({ beforeAttention: 'input_layernorm', beforeMlp: 'pre_ff_layernorm' });

/** Falcon-H1's names. */
export const falconNames: DecoderNames = {
  ...falconNorms,
  finalNorm: 'model.final_layernorm',
  block: layer => {
    const own = falconNorms.block(layer);
    const mlp = `${own.at}.feed_forward`;
    return { ...own, gate: `${mlp}.gate_proj`, up: `${mlp}.up_proj`, down: `${mlp}.down_proj` };
  },
};

/** GPT-NeoX's names, with queries, keys and values in one matrix. @param prefix of all names but the head's, with its dot */
const neoxNames = (prefix: string): DecoderNames => ({
  ...llamaNames,
  embedding: `${prefix}embed_in`,
  finalNorm: `${prefix}final_layer_norm`,
  head: 'embed_out',
  headInMemory: 'lm_head',
  block: layer => {
    const at = `${prefix}layers.${layer}`;
    const { gate: _, ...own } = llamaNames.block(layer);
    return {
      ...own,
      at,
      qkv: `${at}.attention.query_key_value`,
      o: `${at}.attention.dense`,
      up: `${at}.mlp.dense_h_to_4h`,
      down: `${at}.mlp.dense_4h_to_h`,
      norms: { beforeAttention: `${at}.input_layernorm`, beforeMlp: `${at}.post_attention_layernorm` },
    };
  },
});
export const gptNeoXNames = neoxNames('gpt_neox.');
export const gptNeoXBareNames = neoxNames('');

/**
 * GPT-2's names, with queries, keys and values in one matrix. Files store linear layers transposed, and may have the names of the class with
 * a head or of the one without.
 * @param prefix of all names but the head's, with its dot
 * @param other the prefix that files may use instead
 */
const gpt2NamesWith = (prefix: string, other: string): DecoderNames => ({
  ...llamaNames,
  embedding: `${prefix}wte`,
  positions: `${prefix}wpe`,
  finalNorm: `${prefix}ln_f`,
  block: layer => {
    const at = `${prefix}h.${layer}`;
    const { gate: _, ...own } = llamaNames.block(layer);
    return {
      ...own,
      at,
      qkv: `${at}.attn.c_attn`,
      o: `${at}.attn.c_proj`,
      up: `${at}.mlp.c_fc`,
      down: `${at}.mlp.c_proj`,
      norms: { beforeAttention: `${at}.ln_1`, beforeMlp: `${at}.ln_2` },
    };
  },
  inFiles: module =>
    module.name === llamaNames.head ? module : underOtherName(module, other + module.name.slice(prefix.length), module.kind === 'linear'),
});
const gpt2Prefix = 'transformer.';
export const gpt2Names = gpt2NamesWith(gpt2Prefix, '');
export const gpt2BareNames = gpt2NamesWith('', gpt2Prefix);

/** Phi-3's names, with queries, keys and values in one matrix, and gate and up in another. */
export const phi3Names: DecoderNames = {
  ...llamaNames,
  block: layer => ({
    ...llamaNames.block(layer),
    qkv: `model.layers.${layer}.self_attn.qkv_proj`,
    gateUp: `model.layers.${layer}.mlp.gate_up_proj`,
  }),
};
