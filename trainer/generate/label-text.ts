/** Labels the words of a text: entities with their positions, from a token classification model. */
import { entitiesOf, OUTSIDE, tagParts } from '../data/tagged/entities.ts';
import { splitWords, type TextWord } from '../data/tagged/split-words.ts';
import { createWordEncoder } from '../data/tagged/word-encoder.ts';
import type { HostArray } from '../graph/types.ts';
import { type ClassifierModel, inputOf } from '../model/model-spec.ts';
import { likeliestLabel } from '../train/metrics.ts';
import { checkKnown } from './decoder.ts';
import { type TextLogitsParams, withTextLogits } from './text-logits.ts';

/** A labeled span of the text. */
export interface TextEntity {
  readonly type: string;
  /** Offsets in the text, in UTF-16 code units; `end` is exclusive. */
  readonly start: number;
  readonly end: number;
  /** The mean probability of the tags of its words. */
  readonly score: number;
}

export interface LabeledWords {
  readonly entities: readonly TextEntity[];
  /** Number of tokens that the model read. */
  readonly tokens: number;
}

/** Maximum tokens per part: longer texts are read in parts, so that the program stays small. */
const MAX_TOKENS = 512;

/** Formats a text with its entities, such as `[George Washington](PER) slept`. */
export const annotated = (text: string, entities: readonly TextEntity[]): string => {
  const pieces = entities.map(
    ({ type, start, end }, i) => `${text.slice(entities[i - 1]?.end ?? 0, start)}[${text.slice(start, end)}](${type})`,
  );
  return `${pieces.join('')}${text.slice(entities.at(-1)?.end ?? 0)}`;
};

/**
 * Loads a model that labels words, labels the text and releases it. A text longer than the model's limit is cut between words, and each part is labeled
 * separately.
 * @throws AdapterError if the adapter does not fit
 */
export async function labelText(text: string, params: Omit<TextLogitsParams, 'tokens'>): Promise<LabeledWords> {
  const { model, folder } = params;
  const encoder = createWordEncoder(await folder.loadTokenizer());
  const input = inputOf(model, 'tokens');
  const longest = Math.min(input.maxPositions, MAX_TOKENS);
  const parts = partsOf(splitWords(text), words => encoder.encode(words, longest));
  if (parts.length === 0) return { entities: [], tokens: 0 };
  for (const { ids } of parts) checkKnown(ids, input);
  const tokens = Math.max(...parts.map(({ ids }) => ids.length));
  return await withTextLogits({ ...params, tokens }, async logitsOf => {
    const entities: TextEntity[] = [];
    for (const part of parts) entities.push(...labelPart(model, part, await logitsOf(part.ids)));
    return { entities, tokens: parts.reduce((sum, { ids }) => sum + ids.length, 0) };
  });
}

interface Part {
  readonly words: readonly TextWord[];
  readonly ids: Int32Array;
  readonly firstTokens: Int32Array;
}

/** Splits words into runs that fit; a single word that does not fit is cut. */
function partsOf(
  words: readonly TextWord[],
  encode: (words: readonly string[]) => Omit<Part, 'words'> & { readonly truncated: boolean },
): Part[] {
  const parts: Part[] = [];
  let rest = words;
  while (rest.length > 0) {
    const { ids, firstTokens, truncated } = encode(rest.map(({ text }) => text));
    const fitting = truncated
      ? Math.max(
          1,
          firstTokens.findLastIndex(token => token >= 0),
        )
      : rest.length;
    const taken = rest.slice(0, fitting);
    const own = truncated ? encode(taken.map(({ text }) => text)) : { ids, firstTokens };
    parts.push({ words: taken, ids: own.ids, firstTokens: own.firstTokens });
    rest = rest.slice(fitting);
  }
  return parts;
}

function labelPart({ labels }: ClassifierModel, { words, firstTokens }: Part, logits: HostArray | undefined): TextEntity[] {
  const found = Array.from(firstTokens, token => {
    if (token < 0 || !logits) return { tag: OUTSIDE, score: 1 };
    const { place, probability: score } = likeliestLabel(logits, token, labels.length);
    return { tag: labels[place] ?? OUTSIDE, score };
  });
  const tags = found.map(({ tag }) => tag);
  // Without tag prefixes, each word with a label is its own entity.
  const spans = labels.some(tagParts)
    ? entitiesOf(tags)
    : tags.flatMap((type, at) => (type === OUTSIDE ? [] : [{ type, start: at, end: at + 1 }]));
  return spans.map(({ type, start, end }) => ({
    type,
    start: words[start]?.start ?? 0,
    end: words[end - 1]?.end ?? 0,
    score: found.slice(start, end).reduce((sum, { score }) => sum + score, 0) / (end - start),
  }));
}
