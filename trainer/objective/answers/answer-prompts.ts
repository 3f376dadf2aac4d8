/** The prompts of held-out samples, and the samples' own answers. */
import { drawFrom } from '../../data/draw.ts';
import type { RecordPlace } from '../../data/load/records-at.ts';
import type { Example, TextTokenizer } from '../../data/types.ts';
import type { SampleImage } from '../../data/vision/sample-image.ts';
import { type AnswerReading, answerIn } from '../../generate/answer-parts.ts';

export interface AnswerPrompt {
  readonly ids: readonly number[];
  readonly images?: readonly SampleImage[] | undefined;
  /** The text of the prompt, without special tokens. */
  readonly prompt: string;
  /** The answer in the sample. */
  readonly reference: string;
  /** The sample's record in the data. */
  readonly place: RecordPlace;
  /** Number of trained answers in the sample; this one is the last. */
  readonly trained: number;
  readonly reading: AnswerReading | undefined;
}

export interface PromptParams {
  readonly tokenizer: Pick<TextTokenizer, 'decode'>;
  /** Returns how to separate the answer after a prompt from the reasoning before it. */
  readonly readingOf: (ids: readonly number[]) => AnswerReading | undefined;
  /** Maximum number of prompts to draw. */
  readonly count: number;
  readonly seed: number;
}

export interface FoundPrompts {
  readonly prompts: readonly AnswerPrompt[];
  /** Number of samples whose answer has no text before it. */
  readonly withoutPrompt: number;
}

/** Number of tokens at the end of a prompt that are checked for text: a prompt of special tokens only is not a question. */
const LOOKED_AT = 32;

/** The prompts of samples: everything before a sample's last trained answer. */
export function promptsOf(examples: Iterable<Example>, { tokenizer, readingOf, count, seed }: PromptParams): FoundPrompts {
  const textOf = (ids: Int32Array): string => tokenizer.decode([...ids], { skipSpecialTokens: true });
  const places = [...examples].map(({ ids, images, file, line, element, ...example }) => ({
    ids,
    images,
    ...lastAnswer(example),
    place: { file, line, element },
  }));
  const usable = places.filter(
    ({ ids, begin, end }) => begin < end && textOf(ids.subarray(Math.max(0, begin - LOOKED_AT), begin)).trim() !== '',
  );
  const prompts = drawFrom(usable, { count, seed }).map(({ ids: all, images, begin, end, place, trained }) => {
    const ids = [...all.subarray(0, begin)];
    const [reading, answer] = [readingOf(ids), all.subarray(begin, end)];
    const reference =
      reading === undefined ? textOf(answer) : answerIn(tokenizer.decode([...answer], { skipSpecialTokens: false }), reading);
    return { ids, images, prompt: textOf(all.subarray(0, begin)), reference, reading, place, trained };
  });
  return { prompts, withoutPrompt: places.length - usable.length };
}

/** The trained tokens of the last answer, and the number of all answers; empty if there is none. */
function lastAnswer({ train, answers = [] }: Pick<Example, 'train' | 'answers'>): {
  readonly begin: number;
  readonly end: number;
  readonly trained: number;
} {
  const begin = answers.at(-1) ?? 0;
  const after = answers.length === 0 ? begin : train.indexOf(0, begin);
  return { begin, end: after < 0 ? train.length : after, trained: answers.length };
}
