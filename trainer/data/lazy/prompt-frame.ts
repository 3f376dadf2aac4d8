/** The text that a chat template writes around the texts of a prompt, so that prompts can be measured without running the template. */
import type { FormattedExample } from '../types.ts';

/** The texts of a sample: those of its prompt in their order, and its answer. */
export interface Texts {
  readonly prompt: readonly string[];
  readonly answer: string;
}

/** The fixed parts of a prompt: before its first text, between texts, and behind the last. */
export interface PromptFrame {
  readonly parts: readonly string[];
}

const PROBES: readonly [Texts, Texts] = [
  { prompt: ['Qaq', 'Qbq'], answer: 'Qcq' },
  { prompt: ['Zaz zaz, zaz.', 'Zbz'], answer: 'Zcz zcz' },
];

/**
 * Finds the frame of prompts of `count` texts.
 * @param format makes the pieces of a sample with these texts
 * @returns undefined where the template writes something else than these texts between others that are always the same, then the answer
 */
export function findFrame(count: number, format: (texts: Texts) => FormattedExample): PromptFrame | undefined {
  const [one, other] = PROBES.map(({ prompt, answer }) => frameOf({ prompt: prompt.slice(0, count), answer }, format));
  return one && other && one.parts.join('\0') === other.parts.join('\0') ? one : undefined;
}

function frameOf(texts: Texts, format: (texts: Texts) => FormattedExample): PromptFrame | undefined {
  let example: FormattedExample;
  try {
    example = format(texts);
  } catch {
    // Whatever the template refuses is reported with the first sample that is made.
    return undefined;
  }
  const answer = example.pieces.findIndex(({ train }) => train);
  const plain = example.pieces.slice(0, answer).every(({ targets = [] }) => targets.length === 0);
  const trained = example.pieces.slice(answer).filter(({ train }) => train);
  if (answer < 1 || !plain || trained.length !== 1 || !trained[0]?.text.includes(texts.answer) || trained[0].context) return undefined;
  let rest = example.pieces
    .slice(0, answer)
    .map(({ text }) => text)
    .join('');
  const parts: string[] = [];
  for (const text of texts.prompt) {
    const found = rest.split(text);
    if (found.length !== 2) return undefined;
    parts.push(found[0] ?? '');
    rest = found[1] ?? '';
  }
  return { parts: [...parts, rest] };
}

/** A frame without the sections that are the same in every prompt. */
export interface CutFrame extends PromptFrame {
  /** Tokens of those sections. */
  readonly tokens: number;
}

/** Special tokens cut a prompt into sections, which are tokenized one by one; those in front of the first text and behind the last need it once. */
export function cutFrame({ parts }: PromptFrame, specialTexts: readonly string[], countTokens: (text: string) => number): CutFrame {
  const [before = '', behind = ''] = [parts[0], parts.at(-1)];
  const begin = cutsOf(before, specialTexts).at(-1)?.to ?? 0;
  const end = cutsOf(behind, specialTexts)[0]?.from ?? behind.length;
  return {
    tokens: countTokens(before.slice(0, begin)) + countTokens(behind.slice(end)),
    parts: [before.slice(begin), ...parts.slice(1, -1), behind.slice(0, end)],
  };
}

/** The special tokens in a text, in their order. */
function cutsOf(text: string, specialTexts: readonly string[]): readonly { readonly from: number; readonly to: number }[] {
  const found: { from: number; to: number }[] = [];
  for (const special of specialTexts) {
    if (special === '') continue;
    for (let from = text.indexOf(special); from >= 0; from = text.indexOf(special, from + 1))
      found.push({ from, to: from + special.length });
  }
  return found.sort((a, b) => a.from - b.from);
}

/** The prompt with these texts; undefined where a template may write one of them without the space around it. */
export function promptIn({ parts }: PromptFrame, texts: readonly string[]): string | undefined {
  if (texts.some(text => text !== text.trim())) return undefined;
  return parts.map((part, i) => part + (texts[i] ?? '')).join('');
}
