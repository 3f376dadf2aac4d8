/** Other names that files give to tensors. */

const OTHER_NAMES: readonly (readonly [RegExp, string])[] = [
  // Norms of BERT in older files.
  [/LayerNorm\.gamma$/, 'LayerNorm.weight'],
  [/LayerNorm\.beta$/, 'LayerNorm.bias'],
  // The decoder inside a model that also takes images.
  [/^language_model\.model\./, 'model.language_model.'],
  [/^language_model\.lm_head(?=\.|$)/, 'lm_head'],
  // MLX: the experts of a layer, which are called otherwise without gates, and both parts of DeepSeek's keys and values, as GGUF files are read.
  [/\.switch_mlp\.fc1(?=\.|$)/, '.experts.up_proj'],
  [/\.switch_mlp\.fc2(?=\.|$)/, '.experts.down_proj'],
  [/\.switch_mlp\./, '.experts.'],
  [/\.experts\.switch_glu\./, '.experts.'],
  [/\.self_attn\.embed_q(?=\.|$)/, '.self_attn.k_b_proj'],
  [/\.self_attn\.unembed_out(?=\.|$)/, '.self_attn.v_b_proj'],
];

/** Renames tensors, or layers without the ends of their names, as Transformers does for older files, and those of MLX. */
export const currentName = (name: string): string => OTHER_NAMES.reduce((found, [other, own]) => found.replace(other, own), name);
