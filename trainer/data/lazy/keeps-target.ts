/**
 * Decides which samples keep a trained token, as tokenizing them would, without tokenizing nearly all of them: their number and so their order
 * are then known before training begins. A sample with an answer keeps a target if its prompt leaves room for a token of it. A prompt has at
 * most as many tokens as bytes; only longer prompts are counted, and only samples whose prompt fills everything are tokenized whole.
 */
import type { ByteTokens } from '../../format/tokenizer/tokenizers/pipeline.ts';
import { DataError } from '../data-error.ts';
import { createEncoder } from '../example/encoder.ts';
import { alpacaPrompt, alpacaTurns, type FormatSettings, formatExample, usesChat } from '../example/format-example.ts';
import type { DropReason } from '../example/tokenize-example.ts';
import { refuseTools, toolsOf } from '../read/read-conversation.ts';
import { optionalText, requiredText } from '../read/record-fields.ts';
import { type RecordSettings, sampleTokenizer } from '../tokens/tokenize-records.ts';
import type { ChatRenderer, DataFormat, DataRecord, TextTokenizer } from '../types.ts';
import { cutFrame, findFrame, promptIn, type Texts } from './prompt-frame.ts';

/** A tokenizer that may know how many tokens a text can have. */
export interface BoundedTokenizer extends TextTokenizer {
  readonly byteTokens?: ByteTokens | undefined;
  readonly specialTexts: readonly string[];
}

export interface KeepTools {
  readonly tokenizer: BoundedTokenizer;
  readonly chatRenderer?: ChatRenderer | undefined;
}

/** Longer prompts are tokenized in blocks, and so are these samples. */
const MAX_CHARACTERS = 60_000;

/** Formats of one prompt and one answer. */
const FORMATS: ReadonlySet<DataFormat> = new Set(['alpaca', 'prompt_completion']);

/** Returns why it takes tokens to know which samples train, or undefined. */
export function whyTokensDecide({ formatting, truncation }: RecordSettings, { tokenizer, chatRenderer }: KeepTools): string | undefined {
  const { format, completionOnly, contextParts, trainedRoles } = formatting;
  if (!FORMATS.has(format)) return `samples of the format ${format} train only what their tokens show`;
  if (!completionOnly) return 'prompts are trained too';
  if (contextParts !== undefined || trainedRoles !== undefined) return 'parts of answers are context';
  if (truncation === 'error') return 'samples that are too long are errors';
  if (tokenizer.byteTokens === undefined) return "the model's tokenizer does not cut texts into bytes";
  if (!writesChat(formatting, chatRenderer)) return undefined;
  const framed = frameOf(1, { ...formatting, chatRenderer }) !== undefined;
  return framed ? undefined : "the model's chat template does more than to write texts between marks";
}

const writesChat = ({ format, chat }: RecordSettings['formatting'], chatRenderer: ChatRenderer | undefined): boolean =>
  chat === true || (chat === 'auto' && format === 'alpaca' && chatRenderer !== undefined);

const frameOf = (count: 1 | 2, settings: FormatSettings) =>
  findFrame(count, texts => formatExample({ file: '', line: 1, value: recordValue(texts, settings.format) }, settings));

/** A sample with these texts. The system message, which may be left out, comes first in a prompt. */
function recordValue({ prompt, answer }: Texts, format: DataFormat): Record<string, string> {
  const [user = '', system = ''] = prompt.toReversed();
  return format === 'alpaca' ? { instruction: user, output: answer, system } : { prompt: user, completion: answer };
}

/**
 * Returns why a record is left out; undefined if it keeps a target.
 * @param settings those for which `whyTokensDecide` has no reason
 * @throws DataError from the function that is returned, for a record that cannot be used
 */
export function dropFinder(
  settings: RecordSettings,
  { tokenizer, chatRenderer }: KeepTools,
): (record: DataRecord) => DropReason | undefined {
  const formatting: FormatSettings = { ...settings.formatting, chatRenderer };
  const { maxLength } = settings;
  const { mostPerByte = Number.POSITIVE_INFINITY, hasToken = () => false } = tokenizer.byteTokens ?? {};
  const encoder = createEncoder(tokenizer);
  const added = encoder.start('').length;
  const tokenize = sampleTokenizer(settings, { tokenizer, chatRenderer });
  const countTokens = (text: string): number => tokenizer.encode(text, { addSpecialTokens: false }).length;
  const frames = writesChat(formatting, chatRenderer) ? [frameOf(1, formatting), frameOf(2, formatting)] : [];
  const cut = frames.map(frame => frame && cutFrame(frame, tokenizer.specialTexts, countTokens));
  const leavesRoom = (prompt: string, others: number): boolean =>
    prompt.length < MAX_CHARACTERS &&
    (others + mostPerByte * Buffer.byteLength(prompt) + 1 < maxLength || others + countTokens(prompt) < maxLength);
  /** Whether the prompt of a record, as far as its texts show, leaves room for an answer. @throws DataError */
  const leavesRoomIn = (record: DataRecord, { prompt, system }: PromptTexts): boolean => {
    if (!usesChat(record, formatting, formatting.format === 'alpaca')) {
      if (formatting.format !== 'alpaca' || formatting.chat !== false) refuseTools(record);
      return leavesRoom(prompt.plain, added);
    }
    const frame = cut[system === '' ? 0 : 1];
    if (frame === undefined || toolsOf(record).tools !== undefined) return false;
    const whole = promptIn(frame, system === '' ? [prompt.chat] : [system, prompt.chat]);
    return whole !== undefined && leavesRoom(whole, frame.tokens);
  };
  return record => {
    const texts = textsOf(record, formatting.format);
    const isProven = hasToken(texts.prompt.chat) && hasToken(texts.answer) && leavesRoomIn(record, texts);
    return isProven ? undefined : tokenize(record).dropped;
  };
}

interface PromptTexts {
  /** The prompt as plain text, and as the turn of a user. */
  readonly prompt: { readonly plain: string; readonly chat: string };
  readonly system: string;
  readonly answer: string;
}

/** The texts of a record, all checked as `formatExample` does. @throws DataError */
function textsOf(record: DataRecord, format: DataFormat): PromptTexts {
  if (format === 'prompt_completion') {
    const prompt = requiredText(record, 'prompt');
    return { prompt: { plain: prompt, chat: prompt }, system: '', answer: requiredText(record, 'completion') };
  }
  const instruction = requiredText(record, 'instruction');
  const input = optionalText(record, 'input');
  const answer = requiredText(record, 'output');
  const system = optionalText(record, 'system');
  const [turn] = alpacaTurns({ instruction, input, system: '' });
  if (typeof turn?.content !== 'string') throw new DataError({ problem: 'a turn without text', advice: 'Report this' });
  return { prompt: { plain: alpacaPrompt(instruction, input), chat: turn.content }, system, answer };
}
