/**
 * Decides which samples keep a trained token, as tokenizing them would, but almost without tokenizing. Their number, and so their order, is
 * then known before training begins. A sample with an answer keeps a target if its prompt leaves room for one token of the answer. A prompt
 * has at most as many tokens as bytes. Only longer prompts are counted, and only samples whose prompt fills everything are tokenized whole.
 */
import { createEncoder } from '../../example/encoder.ts';
import { type FormatSettings, type ReadSample, readSample } from '../../example/format-example.ts';
import { labelName } from '../../read/record-fields.ts';
import { type RecordSettings, sampleTokenizer } from '../../tokens/tokenize-records.ts';
import type { ChatRenderer, DataFormat, DataRecord } from '../../types.ts';
import { hasMarks } from '../plain/measured-text.ts';
import { type PlainSample, plainReaderOf } from '../plain/plain-sample.ts';
import { labelIn } from '../plain/plain-values.ts';
import type { Decider } from './decider.ts';
import { chatProof } from './keeps-answer.ts';
import { type BoundedTokenizer, textBounds } from './text-bounds.ts';

export interface KeepTools {
  readonly tokenizer: BoundedTokenizer;
  readonly chatRenderer?: ChatRenderer | undefined;
}

/** Formats whose samples have answers. */
const FORMATS: ReadonlySet<DataFormat> = new Set(['alpaca', 'prompt_completion', 'messages', 'sharegpt', 'text_label']);

/** Returns the reason why only tokenizing shows which samples train, or undefined. */
export function reasonTokensDecide({ formatting, truncation }: RecordSettings, { tokenizer }: KeepTools): string | undefined {
  const { format, trainedRoles } = formatting;
  if (!FORMATS.has(format)) return `samples of the format ${format} train only what their tokens show`;
  if (formatting.completionOnly && trainedRoles?.includes('assistant') === false) return 'no answers are trained';
  if (truncation === 'error') return 'samples that are too long are errors';
  if (tokenizer.byteTokens === undefined) return "the bytes of a text do not bound the tokens of the model's tokenizer";
  return undefined;
}

/**
 * Returns a decider for which records keep a target, and for their labels.
 * @param settings settings for which `reasonTokensDecide` returns undefined
 * @throws DataError from the decider, for a record that cannot be used
 */
export function sampleDecider(settings: RecordSettings, { tokenizer, chatRenderer }: KeepTools): Decider {
  const formatting: FormatSettings = { ...settings.formatting, chatRenderer };
  const bounds = textBounds(tokenizer, settings.maxLength);
  const room = { tokens: createEncoder(tokenizer).start('').length, needed: 1 };
  const tokenize = sampleTokenizer(settings, { tokenizer, chatRenderer });
  const proof =
    chatRenderer &&
    chatProof({ ...settings.formatting, renderer: chatRenderer, maxLength: settings.maxLength }, bounds, tokenizer.specialTexts);
  const { contextParts = [] } = formatting;
  const keepsTarget = (sample: ReadSample, { file, line }: DataRecord): boolean => {
    if (sample.kind === 'chat') return proof?.proves(sample.chat, { file, line }) ?? false;
    if (sample.kind === 'text') return false;
    const { prompt, answer } = sample;
    // The end token is at least the second token, and a cut sample has more than two.
    if (contextParts.includes('reasoning') && hasMarks(answer)) return false;
    if (!formatting.completionOnly && contextParts.includes('end_of_turn')) return false;
    if (!formatting.completionOnly) return bounds.hasToken(prompt) && tokenizer.eosIds.length > 0 && settings.maxLength > 1;
    return bounds.hasToken(prompt) && bounds.hasToken(answer) && bounds.leavesRoom(prompt, room);
  };
  const keepsPlain = (sample: PlainSample): boolean => {
    if (sample.kind === 'chat') return proof?.provesTurns(sample.turns) === true;
    const { parts, promptBytes, prompt, answer } = sample;
    if (!formatting.completionOnly || !answer.hasToken || !parts[0]?.hasToken) return false;
    const excess = bounds.excess(promptBytes, room);
    let saved = 0;
    for (const part of parts) saved += saved < excess ? part.saved(excess - saved) : 0;
    return saved >= excess || bounds.leavesRoom(prompt(), room);
  };
  const readPlain = plainReaderOf({ formatting });
  return {
    decide: record => {
      const sample = readSample(record, formatting);
      const dropped = keepsTarget(sample, record) ? undefined : tokenize(record).dropped;
      return { dropped, label: sample.kind === 'text' ? undefined : sample.label };
    },
    ...(readPlain && {
      decidePlain: record => {
        const sample = readPlain(record, { formatting, bounds });
        return sample && keepsPlain(sample) ? { label: sample.label } : undefined;
      },
    }),
  };
}

/**
 * Returns a decider that accepts every record, some of which are drawn later, and finds its label.
 * @throws DataError from the decider, for a wrong label
 */
export function recordChecker({ formatting: { format, labels } }: RecordSettings): Decider {
  if (format !== 'text_label') return { decide: () => ({}), decidePlain: () => ({}) };
  return {
    decide: record => ({ label: labelName(record, 'label', labels) }),
    decidePlain: record => {
      const label = labelIn(record, labels);
      return label === undefined ? undefined : { label };
    },
  };
}
