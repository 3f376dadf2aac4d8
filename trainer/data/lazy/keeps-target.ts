/**
 * Decides which samples keep a trained token, as tokenizing them would, without tokenizing nearly all of them: their number and so their order
 * are then known before training begins. A sample with an answer keeps a target if its prompt leaves room for a token of it. A prompt has at
 * most as many tokens as bytes; only longer prompts are counted, and only samples whose prompt fills everything are tokenized whole.
 */
import { createEncoder } from '../example/encoder.ts';
import { type FormatSettings, readSample } from '../example/format-example.ts';
import type { DropReason } from '../example/tokenize-example.ts';
import { type RecordSettings, sampleTokenizer } from '../tokens/tokenize-records.ts';
import type { ChatRenderer, DataFormat, DataRecord } from '../types.ts';
import { chatProof } from './keeps-answer.ts';
import { type BoundedTokenizer, textBounds } from './text-bounds.ts';

export interface KeepTools {
  readonly tokenizer: BoundedTokenizer;
  readonly chatRenderer?: ChatRenderer | undefined;
}

/** Formats whose samples have answers, which are all that is trained. */
const FORMATS: ReadonlySet<DataFormat> = new Set(['alpaca', 'prompt_completion', 'messages', 'sharegpt']);

/** Returns why it takes tokens to know which samples train, or undefined. */
export function whyTokensDecide({ formatting, truncation }: RecordSettings, { tokenizer }: KeepTools): string | undefined {
  const { format, completionOnly, contextParts, trainedRoles } = formatting;
  if (!FORMATS.has(format)) return `samples of the format ${format} train only what their tokens show`;
  if (!completionOnly) return 'prompts are trained too';
  if (contextParts !== undefined) return 'parts of answers are context';
  if (trainedRoles?.includes('assistant') === false) return 'no answers are trained';
  if (truncation === 'error') return 'samples that are too long are errors';
  if (tokenizer.byteTokens === undefined) return "the model's tokenizer does not cut texts into bytes";
  return undefined;
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
  const bounds = textBounds(tokenizer, settings.maxLength);
  const added = createEncoder(tokenizer).start('').length;
  const tokenize = sampleTokenizer(settings, { tokenizer, chatRenderer });
  const provesChat = chatRenderer && chatProof({ ...settings.formatting, renderer: chatRenderer }, bounds, tokenizer.specialTexts);
  const keepsTarget = (record: DataRecord): boolean => {
    const sample = readSample(record, formatting);
    if (sample.kind === 'chat') return provesChat?.(sample.chat, { file: record.file, line: record.line }) ?? false;
    if (sample.kind === 'text') return false;
    const { prompt, answer } = sample;
    return bounds.hasToken(prompt) && bounds.hasToken(answer) && bounds.leavesRoom(prompt, { tokens: added, needed: 1 });
  };
  return record => (keepsTarget(record) ? undefined : tokenize(record).dropped);
}
