/** Whether a decoder's files hold a head of its own in addition to the embedding. */
import type { WeightFiles } from '../format/weight-files.ts';

/** Names of the embedding in a decoder, and in one inside a model that also sees images. */
const EMBEDDINGS = ['model.embed_tokens.weight', 'model.language_model.embed_tokens.weight'];
const HEAD = 'lm_head.weight';

/**
 * True where the files hold both, with different numbers: where the config ties the two, Transformers then ties nothing, and warns.
 * A head that repeats the embedding's numbers, as older files of PyTorch have it, is none of its own.
 */
export async function holdsOwnHead({ tensors, haveSameNumbers }: Pick<WeightFiles, 'tensors' | 'haveSameNumbers'>): Promise<boolean> {
  const embedding = EMBEDDINGS.find(name => tensors.has(name));
  return embedding !== undefined && tensors.has(HEAD) && !(await haveSameNumbers(embedding, HEAD));
}
