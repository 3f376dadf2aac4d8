/** The prompts of held-out samples, and the answers that the samples have. */
import { drawFrom } from '../../data/draw.ts';
import type { RecordPlace } from '../../data/records-at.ts';
import type { Example, TextTokenizer } from '../../data/types.ts';

export interface AnswerPrompt {
  readonly ids: readonly number[];
  /** The text of the prompt, without special tokens. */
  readonly prompt: string;
  /** The answer of the sample. */
  readonly reference: string;
  /** Its record in the data. */
  readonly place: RecordPlace;
  /** Answers of the sample that are trained, with this one as the last. */
  readonly trained: number;
}

export interface PromptParams {
  readonly tokenizer: Pick<TextTokenizer, 'decode'>;
  /** At most so many are drawn. */
  readonly count: number;
  readonly seed: number;
}

export interface FoundPrompts {
  readonly prompts: readonly AnswerPrompt[];
  /** Samples whose answer has no text before it. */
  readonly withoutPrompt: number;
}

/** Tokens at the end of a prompt that are looked at for text: a prompt of special tokens alone asks nothing. */
const LOOKED_AT = 32;

/** The prompt of a sample is everything before its last answer: what is trained last without a break. */
export function promptsOf(examples: Iterable<Example>, { tokenizer, count, seed }: PromptParams): FoundPrompts {
  const textOf = (ids: Int32Array): string => tokenizer.decode([...ids], { skipSpecialTokens: true });
  const places = [...examples].map(({ ids, train, file, line, element }) => ({
    ids,
    ...lastAnswer(train),
    place: { file, line, element },
  }));
  const usable = places.filter(
    ({ ids, begin, end }) => begin < end && textOf(ids.subarray(Math.max(0, begin - LOOKED_AT), begin)).trim() !== '',
  );
  const prompts = drawFrom(usable, { count, seed }).map(({ ids, begin, end, place, trained }) => ({
    ids: [...ids.subarray(0, begin)],
    prompt: textOf(ids.subarray(0, begin)),
    reference: textOf(ids.subarray(begin, end)),
    place,
    trained,
  }));
  return { prompts, withoutPrompt: places.length - usable.length };
}

/** The last run of trained tokens, and the number of all; empty if nothing is trained. */
function lastAnswer(train: Uint8Array): { readonly begin: number; readonly end: number; readonly trained: number } {
  const end = train.lastIndexOf(1) + 1;
  const trained = train.reduce((count, flag, i) => count + Number(flag === 1 && train[i - 1] !== 1), 0);
  return { begin: train.subarray(0, end).lastIndexOf(0) + 1, end, trained };
}
