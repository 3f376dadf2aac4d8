/** Checks whether a decoder's files hold a head in addition to the embedding. */
import type { WeightFiles } from '../format/weight-files.ts';

/** Names of the embedding and the head: in a decoder, in a decoder inside a model that also sees images, in GPT-NeoX, in ModernBERT and in GPT-2. */
const PAIRS: readonly (readonly [embedding: string, head: string])[] = [
  ['model.embed_tokens.weight', 'lm_head.weight'],
  ['model.language_model.embed_tokens.weight', 'lm_head.weight'],
  ['model.text_model.embed_tokens.weight', 'lm_head.weight'],
  ['gpt_neox.embed_in.weight', 'embed_out.weight'],
  ['model.embeddings.tok_embeddings.weight', 'decoder.weight'],
  ['transformer.wte.weight', 'lm_head.weight'],
  ['wte.weight', 'lm_head.weight'],
];

/** Names of heads of decoders. */
export const HEADS: ReadonlySet<string> = new Set(PAIRS.map(([, head]) => head));

/**
 * True if the files hold both, with different values: even if the config ties them, Transformers then does not, and warns. A head that
 * repeats the embedding's values, as in older PyTorch files, does not count.
 */
export async function holdsOwnHead({ tensors, haveSameNumbers }: Pick<WeightFiles, 'tensors' | 'haveSameNumbers'>): Promise<boolean> {
  const [embedding, head] = PAIRS.find(pair => pair.every(name => tensors.has(name))) ?? [];
  return embedding !== undefined && head !== undefined && !(await haveSameNumbers(embedding, head));
}
