/** Whether a decoder's files hold a head of its own beside the embedding. */
import type { WeightFiles } from '../format/weight-files.ts';

const EMBEDDING = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';

/**
 * True where the files hold both, with different numbers: where the config ties the two, Transformers then ties nothing, and warns.
 * A head that repeats the embedding's numbers, as older files of PyTorch have it, is none of its own.
 */
export async function holdsOwnHead({ tensors, haveSameNumbers }: Pick<WeightFiles, 'tensors' | 'haveSameNumbers'>): Promise<boolean> {
  return tensors.has(EMBEDDING) && tensors.has(HEAD) && !(await haveSameNumbers(EMBEDDING, HEAD));
}
