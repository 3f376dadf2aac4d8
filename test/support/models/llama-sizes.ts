/** The config.json of real models of the Llama family; only their sizes. */
const common = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 4096,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
  tie_word_embeddings: false,
};

export const llama2Of7b = {
  ...common,
  vocab_size: 32000,
  intermediate_size: 11008,
  num_key_value_heads: 32,
  max_position_embeddings: 4096,
};

export const llama3Of8b = {
  ...common,
  vocab_size: 128256,
  intermediate_size: 14336,
  num_key_value_heads: 8,
  max_position_embeddings: 8192,
  rope_theta: 500000,
};

/** A model with eight blocks: small enough for the reference engine, and deep enough that recompute levels differ. */
export const eightBlocks = {
  ...common,
  hidden_size: 16,
  num_hidden_layers: 8,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 40,
  intermediate_size: 24,
  max_position_embeddings: 64,
};
