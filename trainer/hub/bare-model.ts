/** Handles models whose files were saved without their head, like embedding models. */
import type { ModelConfig } from '../format/model-config.ts';

/** The table of words in files without a head, and the endings of the classes with one. */
const BARE: readonly (readonly [table: string, ending: RegExp])[] = [
  ['embed_tokens.weight', /For(CausalLM|MaskedLM)$/],
  ['embed_in.weight', /ForCausalLM$/],
  ['embeddings.word_embeddings.weight', /For(MaskedLM|PreTraining)$/],
];

/**
 * The config.json with the class that matches the files. Qwen3-Embedding names the class with a head, `Qwen3ForCausalLM`, but has the
 * tensors of `Qwen3Model`, and encoders of vectors may name the class of their pretraining; Transformers reads both.
 */
export function asFilesHaveIt(config: ModelConfig, tensors: ReadonlyMap<string, unknown> | undefined): ModelConfig {
  const { architectures } = config;
  // GTE's first files may name the class without a head, and have the tensors of one with a head.
  if (tensors?.has('new.embeddings.word_embeddings.weight') && String(architectures) === 'NewModel')
    return { ...config, architectures: ['NewForMaskedLM'] };
  const [, ending] = BARE.find(([table]) => tensors?.has(table) && !tensors.has(`model.${table}`)) ?? [];
  if (!Array.isArray(architectures) || ending === undefined) return config;
  return { ...config, architectures: architectures.map(name => String(name).replace(ending, 'Model')) };
}
