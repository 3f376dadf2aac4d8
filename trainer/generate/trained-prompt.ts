/**
 * Encodes a prompt the way a run was trained: the text around it, the chat template or none, and the tokens, with the code that made the
 * samples.
 */
import { chatRendererOf } from '../data/chat/chat-renderer.ts';
import { createEncoder } from '../data/example/encoder.ts';
import { type FormatSettings, formatExample } from '../data/example/format-example.ts';
import type { DataRecord, PromptFormat } from '../data/types.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';

export interface TrainedStyle {
  readonly format: PromptFormat;
  /** The prompt template of labeled texts, with {text} and {labels}. */
  readonly template: string;
  /** The labels that replace {labels}. */
  readonly labels: readonly string[];
}

/** Placeholder for the answer of a sample. */
const ANSWER = 'answer';

const samples: Readonly<Record<PromptFormat, (prompt: string) => Readonly<Record<string, unknown>>>> = {
  alpaca: prompt => ({ instruction: prompt, output: ANSWER }),
  messages: prompt => ({
    messages: [
      { role: 'user', content: prompt },
      { role: 'assistant', content: ANSWER },
    ],
  }),
  sharegpt: prompt => ({
    conversations: [
      { from: 'human', value: prompt },
      { from: 'gpt', value: ANSWER },
    ],
  }),
  prompt_completion: prompt => ({ prompt, completion: ANSWER }),
  text: prompt => ({ text: prompt }),
  text_label: prompt => ({ text: prompt, label: ANSWER }),
};

/** The prompt as the record of a sample. */
export const trainedRecord = (prompt: string, { format }: TrainedStyle): DataRecord => ({
  file: 'the prompt',
  line: 1,
  value: samples[format](prompt),
});

/**
 * @param record of the prompt, which may have its images
 * @param placeholder the text by which the template marks an image, if the model reads images
 * @throws DataError if the samples were chats and the model has no chat template
 */
export function encodeTrainedPrompt(
  tokenizer: Tokenizer,
  prompt: string,
  style: TrainedStyle,
  record: DataRecord = trainedRecord(prompt, style),
  placeholder?: string | undefined,
): { readonly ids: readonly number[]; readonly chat: boolean } {
  const { format, template, labels } = style;
  const settings: FormatSettings = {
    format,
    promptTemplate: template,
    labels: [],
    shownLabels: labels,
    chat: 'auto',
    completionOnly: true,
    trainedTurns: 'all',
    chatRenderer: chatRendererOf(tokenizer, undefined, placeholder),
  };
  const { pieces, chat } = formatExample(record, settings);
  const answer = pieces.findIndex(({ train }) => train);
  // Plain text is continued, so it is its own answer.
  const asked = answer === 0 ? [{ text: prompt }] : pieces.slice(0, answer);
  const text = asked.map(piece => piece.text).join('');
  const encoder = createEncoder(tokenizer);
  return { ids: chat ? encoder.startPlain(text) : encoder.start(text), chat };
}
