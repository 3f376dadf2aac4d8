/** Checks whether a decoder's files hold a head in addition to the embedding. */
import type { WeightFiles } from '../format/weight-files.ts';

/** Names of the embedding in a decoder, and in a decoder inside a model that also sees images. */
const EMBEDDINGS = ['model.embed_tokens.weight', 'model.language_model.embed_tokens.weight'];
const HEAD = 'lm_head.weight';

/**
 * True if the files hold both, with different values: even if the config ties them, Transformers then does not, and warns. A head that
 * repeats the embedding's values, as in older PyTorch files, does not count.
 */
export async function holdsOwnHead({ tensors, haveSameNumbers }: Pick<WeightFiles, 'tensors' | 'haveSameNumbers'>): Promise<boolean> {
  const embedding = EMBEDDINGS.find(name => tensors.has(name));
  return embedding !== undefined && tensors.has(HEAD) && !(await haveSameNumbers(embedding, HEAD));
}
