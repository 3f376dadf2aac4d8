/** Finds the text that a chat template writes around the texts of a chat, to measure prompts without rendering the template. */
import type { FormattedExample } from '../../types.ts';

/** The number of turns of a chat, and its first trained answer. */
export interface ChatShape {
  readonly turns: number;
  /** The index of the first trained answer. */
  readonly answer: number;
}

export interface PromptFrame {
  /** The fixed parts of that answer's prompt: before the first text, between texts, and after the last. */
  readonly parts: readonly string[];
  /** Number of bytes that are trained with the text of the answer, such as its end-of-turn token. */
  readonly endBytes: number;
  /** The part of these bytes that follows the text. */
  readonly end: string;
}

type FormattedPieces = Pick<FormattedExample, 'pieces'>;

/** Texts by turn that do not occur in each other or in any template. */
const PROBES: readonly ((turn: number) => string)[] = [turn => `Q${turn}q`, turn => `Z${turn}z z${turn}z, z.`];

/**
 * Finds the frame of chats of one shape.
 * @param format makes the pieces of a chat with these texts
 * @returns undefined if the template writes more than these texts between fixed text, and then the answer
 * @throws errors of `format`
 */
export function findFrame(shape: ChatShape, format: (texts: readonly string[]) => FormattedPieces): PromptFrame | undefined {
  const [one, other] = PROBES.map(textOf =>
    frameOf(
      Array.from({ length: shape.turns }, (_, turn) => textOf(turn)),
      shape.answer,
      format,
    ),
  );
  return one && other && one.endBytes === other.endBytes && one.parts.join('\0') === other.parts.join('\0') ? one : undefined;
}

function frameOf(texts: readonly string[], answer: number, format: (texts: readonly string[]) => FormattedPieces): PromptFrame | undefined {
  const { pieces } = format(texts);
  const first = pieces.findIndex(({ train }) => train);
  const trained = pieces[first];
  const said = texts[answer] ?? '';
  const saidAt = trained?.text.indexOf(said) ?? -1;
  if (first < 1 || trained === undefined || saidAt < 0) return undefined;
  const saidTo = saidAt + said.length;
  // The answer itself must not be context.
  if (trained.context?.some(([from, to]) => from < saidTo && to > saidAt)) return undefined;
  let rest = pieces
    .slice(0, first)
    .map(({ text }) => text)
    .join('');
  const parts: string[] = [];
  for (const text of texts.slice(0, answer)) {
    const found = rest.split(text);
    if (found.length !== 2) return undefined;
    parts.push(found[0] ?? '');
    rest = found[1] ?? '';
  }
  const endBytes = Buffer.byteLength(trained.text) - Buffer.byteLength(said);
  return { parts: [...parts, rest], endBytes, end: trained.text.slice(saidTo) };
}

/** A frame without the sections that are the same in every prompt. */
export interface CutFrame extends PromptFrame {
  /** Number of tokens of those sections. */
  readonly tokens: number;
  /** Number of bytes of the remaining parts. */
  readonly bytes: number;
}

/**
 * Removes the fixed sections before the first text and after the last. Special tokens cut a prompt into sections that are tokenized
 * separately, so these need to be tokenized only once.
 */
export function cutFrame(
  { parts, endBytes, end: closing }: PromptFrame,
  specialTexts: readonly string[],
  countTokens: (text: string) => number,
): CutFrame {
  const [before = '', behind = ''] = [parts[0], parts.at(-1)];
  const begin = cutsOf(before, specialTexts).at(-1)?.to ?? 0;
  const end = cutsOf(behind, specialTexts)[0]?.from ?? behind.length;
  const left = [before.slice(begin), ...parts.slice(1, -1), behind.slice(0, end)];
  return {
    tokens: countTokens(before.slice(0, begin)) + countTokens(behind.slice(end)),
    bytes: left.reduce((sum, part) => sum + Buffer.byteLength(part), 0),
    parts: left,
    endBytes,
    end: closing,
  };
}

/** The special tokens in a text, in order. */
function cutsOf(text: string, specialTexts: readonly string[]): readonly { readonly from: number; readonly to: number }[] {
  const found: { from: number; to: number }[] = [];
  for (const special of specialTexts) {
    if (special === '') continue;
    for (let from = text.indexOf(special); from >= 0; from = text.indexOf(special, from + 1))
      found.push({ from, to: from + special.length });
  }
  return found.sort((a, b) => a.from - b.from);
}

/** The prompt with these texts, for templates that keep the white space around them. */
export const promptIn = ({ parts }: PromptFrame, texts: readonly string[]): string =>
  parts.map((part, i) => part + (texts[i] ?? '')).join('');
