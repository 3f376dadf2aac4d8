/** Whether a decoder whose config says that its head is tied to the embedding has a head of its own after all. */
import type { ModelConfig } from './model-config.ts';
import type { WeightFiles } from './weight-files.ts';

const EMBEDDING = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';

/**
 * True where the config ties the two and the files hold both, with different numbers. Transformers then ties nothing, and warns;
 * a head that repeats the embedding's numbers, as older files of PyTorch have it, is tied.
 */
export async function hasOwnHead(config: ModelConfig, weights: Pick<WeightFiles, 'tensors' | 'haveSameNumbers'>): Promise<boolean> {
  if (config.tie_word_embeddings !== true || !weights.tensors.has(EMBEDDING) || !weights.tensors.has(HEAD)) return false;
  return !(await weights.haveSameNumbers(EMBEDDING, HEAD));
}
