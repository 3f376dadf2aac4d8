/** A prompt as in training: token by token what the samples of each format have before their answer, with and without a chat template. */
import { beforeAll, describe, expect, test } from 'vitest';
import { namesOf } from '../../../trainer/catalog/entries.ts';
import { chatRendererOf } from '../../../trainer/data/chat/chat-renderer.ts';
import { createEncoder } from '../../../trainer/data/example/encoder.ts';
import { formatExample } from '../../../trainer/data/example/format-example.ts';
import { tokenizeExample } from '../../../trainer/data/example/tokenize-example.ts';
import type { PromptFormat } from '../../../trainer/data/types.ts';
import type { Tokenizer } from '../../../trainer/format/tokenizer/tokenizer.ts';
import { encodeTrainedPrompt } from '../../../trainer/generate/trained-prompt.ts';
import { tinyTokenizers } from '../../support/models/tiny-tokenizers.ts';

let plain: Tokenizer;
let chatting: Tokenizer;
beforeAll(async () => {
  ({ plain, chatting } = await tinyTokenizers(
    '{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}',
  ));
});

const PROMPT = 'lunch at 7';
const LABELS = ['ham', 'spam'];
const TEMPLATE = 'Is this {labels}?\n{text}\n:';
const SAMPLES: Readonly<Record<Exclude<PromptFormat, 'text'>, Readonly<Record<string, unknown>>>> = {
  text_label: { text: PROMPT, label: 'spam' },
  alpaca: { instruction: PROMPT, output: 'yes' },
  prompt_completion: { prompt: PROMPT, completion: ' yes' },
  messages: {
    messages: [
      { role: 'user', content: PROMPT },
      { role: 'assistant', content: 'yes' },
    ],
  },
  sharegpt: {
    conversations: [
      { from: 'human', value: PROMPT },
      { from: 'gpt', value: 'yes' },
    ],
  },
};

/** Returns the ids of a training sample before the first trained one. */
function promptOfSample(tokenizer: Tokenizer, format: PromptFormat, value: Readonly<Record<string, unknown>>): number[] {
  const settings = {
    format,
    promptTemplate: TEMPLATE,
    labels: [],
    shownLabels: LABELS,
    chat: 'auto',
    completionOnly: true,
    trainedTurns: 'all',
    chatRenderer: chatRendererOf(tokenizer),
  } as const;
  const place = { file: 'x', line: 1 };
  const formatted = formatExample({ ...place, value }, settings);
  const tokenizing = { encoder: createEncoder(tokenizer), maxLength: 1000, truncation: 'error', eosId: 2 } as const;
  const made = tokenizeExample(formatted, tokenizing, place);
  if (made.kind === 'dropped') throw new Error(made.reason);
  return [...made.sequence.ids.slice(0, made.sequence.train.indexOf(1))];
}

describe.each(['without a chat template', 'with one'])('%s', kind => {
  const tokenizer = () => (kind === 'with one' ? chatting : plain);
  test.each(namesOf(SAMPLES))('%s', format => {
    const isChat = format === 'messages' || format === 'sharegpt';
    const encode = () => encodeTrainedPrompt(tokenizer(), PROMPT, { format, template: TEMPLATE, labels: LABELS });
    if (isChat && kind !== 'with one') return expect(encode).toThrow('no chat template');
    expect([...encode().ids]).toEqual(promptOfSample(tokenizer(), format, SAMPLES[format]));
    expect(encode().chat).toBe(kind === 'with one' && format !== 'prompt_completion');
  });

  test('a prompt in the format text is continued unchanged', () => {
    const { ids, chat } = encodeTrainedPrompt(tokenizer(), PROMPT, { format: 'text', template: TEMPLATE, labels: [] });
    expect([ids, chat]).toEqual([createEncoder(tokenizer()).start(PROMPT), false]);
  });
});
