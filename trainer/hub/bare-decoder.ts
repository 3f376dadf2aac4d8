/** Handles decoders whose files were saved without their head, like embedding models. */
import type { ModelConfig } from '../format/model-config.ts';

const BARE = 'embed_tokens.weight';
const HEADED = `model.${BARE}`;

/**
 * The config.json with the class that matches the files. Qwen3-Embedding names the class with a head, `Qwen3ForCausalLM`, but has the
 * tensors of `Qwen3Model`; Transformers reads both.
 */
export function asFilesHaveIt(config: ModelConfig, tensors: ReadonlyMap<string, unknown> | undefined): ModelConfig {
  const { architectures } = config;
  if (!Array.isArray(architectures) || !tensors?.has(BARE) || tensors.has(HEADED)) return config;
  return { ...config, architectures: architectures.map(name => String(name).replace(/ForCausalLM$/, 'Model')) };
}
