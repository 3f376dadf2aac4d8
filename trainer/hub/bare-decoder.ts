/** Decoders whose files were saved without their head, as models of embeddings are. */
import type { ModelConfig } from '../format/model-config.ts';

const BARE = 'embed_tokens.weight';
const HEADED = `model.${BARE}`;

/**
 * A config.json that names the class of what the files hold: those of Qwen3-Embedding name the class with a head, `Qwen3ForCausalLM`, and have
 * the tensors of `Qwen3Model`. Transformers reads both.
 */
export function asFilesHaveIt(config: ModelConfig, tensors: ReadonlyMap<string, unknown> | undefined): ModelConfig {
  const { architectures } = config;
  if (!Array.isArray(architectures) || !tensors?.has(BARE) || tensors.has(HEADED)) return config;
  return { ...config, architectures: architectures.map(name => String(name).replace(/ForCausalLM$/, 'Model')) };
}
