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

/**
 * Tokens that a frame adds to those of the texts, at most. Special tokens cut a prompt into sections, of which those without a text are the same in
 * every prompt.
 * @param mostPerByte tokens of a byte next to a text, at most
 */
export function frameTokens(
  { parts }: PromptFrame,
  specialTexts: readonly string[],
  { encode, mostPerByte }: { readonly encode: (text: string) => readonly number[]; readonly mostPerByte: number },
): number {
  return parts.reduce((sum, part, i) => {
    const ends = cutsOf(part, specialTexts);
    const [first, last] = [i === 0 ? 0 : (ends[0]?.from ?? part.length), i === parts.length - 1 ? part.length : (ends.at(-1)?.to ?? 0)];
    // Without a special token, all of the part may be in one section with the texts around it.
    if (first >= last) return sum + mostPerByte * Buffer.byteLength(part) + 1;
    const around = Buffer.byteLength(part.slice(0, first)) + Buffer.byteLength(part.slice(last));
    return sum + encode(part.slice(first, last)).length + mostPerByte * around + 1;
  }, 0);
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
