/** The token ids that a model reads: those with a row in its embedding, without those that stand for images and sounds which are not loaded. */

export interface KnownTokens {
  /** Number of rows of the embedding. */
  readonly vocabularySize: number;
  /**
   * The first id that stands for an image or a sound, in models that have such ids at the end of the vocabulary and of which only the text
   * part is loaded; by default, there are none.
   */
  readonly textTokens?: number | undefined;
}

export interface UnknownToken {
  /** A sentence without its period. */
  readonly problem: string;
  readonly advice: string;
}

/** Number of ids that the model reads; they begin at 0. */
export const readTokens = ({ vocabularySize, textTokens = vocabularySize }: KnownTokens): number => Math.min(vocabularySize, textTokens);

/** Describes the first token of a text that the model does not read; undefined if it reads all. */
export function unknownToken(ids: Iterable<number>, known: KnownTokens): UnknownToken | undefined {
  const count = readTokens(known);
  for (const id of ids) {
    if (id >= known.vocabularySize)
      return {
        problem: `the tokenizer gives token ${id}, but the model knows only 0 to ${known.vocabularySize - 1}`,
        advice: 'The tokenizer belongs to another model: use the one that came with it',
      };
    if (id >= count)
      return {
        problem: `token ${id} stands for an image or a sound, and only the text part of this model is loaded, which reads the tokens 0 to ${count - 1}`,
        advice: 'Remove images, sounds and the words that stand for them, such as <image_soft_token>, from the text',
      };
  }
  return undefined;
}
