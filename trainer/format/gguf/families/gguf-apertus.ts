/** Apertus in llama.cpp's format, whose files have the numbers of the activation in the metadata (`conversion/llama.py`). */
import { type GgufFamily, headNorms, plain } from './gguf-family.ts';

/** llama.cpp supports only an untied head. */
export const apertusFile: GgufFamily = {
  ...plain,
  class: 'ApertusForCausalLM',
  modelType: 'apertus',
  names: { ...headNorms, attn_norm: 'attention_layernorm', ffn_norm: 'feedforward_layernorm' },
  numbers: Object.fromEntries(['alpha_p', 'alpha_n', 'beta', 'eps'].map(name => [`xielu.${name}`, `mlp.act_fn.${name}`])),
  settings: ({ has, number, ropeFactors }) => ({
    ...{ hidden_act: 'xielu', tie_word_embeddings: false },
    attention_bias: has('model.layers.0.self_attn.q_proj.bias'),
    // Transformers' default for a config that does not mention positions scales them.
    ...(!ropeFactors &&
      number('rope.scaling.factor') === undefined && {
        rope_parameters: { rope_type: 'default', rope_theta: number('rope.freq_base') ?? 1e4 },
      }),
  }),
};
