/**
 * Runs the pipeline of tokenizer.json: added tokens, normalizer, pre-tokenizer, model, post-processor, and back through the decoder. Ids and
 * texts are those of Hugging Face's `tokenizers`.
 */
import { type AddedToken, createAddedTokens } from './added-tokens.ts';
import { characterLength } from './characters.ts';
import type { Component } from './component.ts';
import { createDecoder } from './decoders.ts';
import { createModel, type ModelKind, modelKind } from './models.ts';
import { createNormalizer } from './normalizers.ts';
import { createPostProcessor, type Encoded, type PostProcess, plain } from './post-processors.ts';
import { createPreTokenizer } from './pre-tokenizers.ts';
import { readVocabulary } from './vocabulary.ts';

export interface Pipeline {
  readonly kind: ModelKind;
  /** One more than the largest id. */
  readonly vocabularySize: number;
  encode(text: string, pair: string | undefined, addSpecialTokens: boolean): Encoded;
  /** Ids without a token are left out. */
  decode(ids: readonly number[], skipSpecialTokens: boolean): string;
  tokenId(token: string): number | undefined;
  token(id: number): string | undefined;
}

export interface Definition {
  readonly model: Component;
  readonly addedTokens: readonly AddedToken[];
  readonly normalizer: unknown;
  readonly preTokenizer: unknown;
  readonly postProcessor: unknown;
  readonly decoder: unknown;
}

/** @throws Error for a component that is unknown, damaged, or without an equal here */
export function createPipeline(definition: Definition): Pipeline {
  const vocabulary = readVocabulary(definition.model.vocab);
  const normalize = createNormalizer(definition.normalizer);
  const split = createPreTokenizer(definition.preTokenizer);
  const model = createModel(definition.model, vocabulary);
  const postProcess = createPostProcessor(definition.postProcessor);
  const decodeTokens = createDecoder(definition.decoder);
  const added = createAddedTokens(definition.addedTokens, vocabulary, normalize);
  const token = (id: number): string | undefined => added.token(id) ?? vocabulary.token(id);
  const vocabularySize = Math.max(largestId(definition.model.vocab), added.largestId) + 1;
  checkAddedIds(postProcess, vocabularySize);

  // A text that begins with something that the normalizer removes has no first word in this sense.
  const looksForFirst = normalize !== undefined && JSON.stringify(definition.preTokenizer ?? null).includes('"first"');
  const losesStart = (section: string, normalized: string): boolean =>
    looksForFirst && normalized !== '' && normalize?.(section.slice(characterLength(section, 0))) === normalized;

  const encodeOne = (written: string, type: number): Encoded => {
    const ids: number[] = [];
    // Half a surrogate pair is no character: in UTF-8 it cannot even be written.
    const text = written.replace(/\p{Surrogate}/gu, '\ufffd');
    for (const raw of added.cutRaw(text)) {
      if (raw.id !== undefined) {
        ids.push(raw.id);
        continue;
      }
      const section = text.slice(raw.from, raw.to);
      const normalized = normalize?.(section) ?? section;
      for (const part of added.cutNormalized(normalized)) {
        if (part.id !== undefined) {
          ids.push(part.id);
          continue;
        }
        const words = [
          { text: normalized.slice(part.from, part.to), first: raw.from === 0 && part.from === 0 && !losesStart(section, normalized) },
        ];
        for (const word of split?.(words) ?? words) if (word.text !== '') for (const id of model(word.text)) ids.push(id);
      }
    }
    return { ids, types: ids.map(() => type) };
  };

  return {
    kind: modelKind(definition.model),
    vocabularySize,
    encode: (text, pair, addSpecialTokens) =>
      (addSpecialTokens ? postProcess : plain)(encodeOne(text, 0), pair === undefined ? undefined : encodeOne(pair, 1)),
    decode: (ids, skipSpecialTokens) => {
      const tokens = ids
        .map(token)
        .filter((found): found is string => found !== undefined && !(skipSpecialTokens && added.isSpecial(found)));
      return decodeTokens === undefined ? tokens.join(' ') : decodeTokens(tokens).join('');
    },
    tokenId: text => added.id(text) ?? vocabulary.id(text),
    token,
  };
}

/** @throws Error where the ids that are added to one text or two are outside the vocabulary: no embedding has a row for them */
function checkAddedIds(postProcess: PostProcess, vocabularySize: number): void {
  const empty: Encoded = { ids: [], types: [] };
  for (const second of [undefined, empty]) {
    const wrong = postProcess(empty, second).ids.find(id => id >= vocabularySize);
    if (wrong !== undefined)
      throw new Error(`its post_processor adds the id ${wrong} to a text, but its vocabulary ends at ${vocabularySize - 1}`);
  }
}

function largestId(vocab: unknown): number {
  if (Array.isArray(vocab)) return vocab.length - 1;
  let largest = -1;
  for (const id of Object.values(vocab as Record<string, number>)) largest = Math.max(largest, id);
  return largest;
}
