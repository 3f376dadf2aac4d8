/** Tokenizes chats with published templates, and with the tokenizer that was created for their 40 conversations. */
import { z } from 'zod';
import { chatRendererOf } from '../../../trainer/data/chat/chat-renderer.ts';
import type { FormatSettings } from '../../../trainer/data/example/format-example.ts';
import { sampleTokenizer } from '../../../trainer/data/tokens/tokenize-records.ts';
import type { TokenSequence } from '../../../trainer/data/types.ts';
import { createTokenizer } from '../../../trainer/format/tokenizer/tokenizer.ts';
import { elementAt } from '../../../trainer/narrow.ts';
import { CHAT_FORMAT } from '../chat-format.ts';
import { readGoldenJson } from '../files/read-json.ts';

const golden = readGoldenJson(
  'chat_masks.json',
  z.object({
    conversations: z.array(z.record(z.string(), z.unknown())),
    tokenizer: z.unknown(),
    templates: z.record(z.string(), z.unknown()),
  }),
);

/** Records with messages and tools. */
export const goldenChats = golden.conversations;
export const goldenTemplates = Object.keys(golden.templates);
export const goldenTokenizer = createTokenizer({
  source: 'chat_masks.json',
  files: new Map([
    ['tokenizer.json', JSON.stringify(golden.tokenizer)],
    ['tokenizer_config.json', JSON.stringify({ bos_token: '<s>', eos_token: '</s>' })],
  ]),
});

export interface TokenChanges extends Partial<FormatSettings> {
  readonly maxLength?: number;
}

const renderers = new Map<string | undefined, ReturnType<typeof chatRendererOf>>();

/** Returns the memoized renderer of a template. */
function rendererOf(chatTemplate: string | undefined): ReturnType<typeof chatRendererOf> {
  const made =
    renderers.get(chatTemplate) ??
    chatRendererOf({ chatTemplate, specialTokens: goldenTokenizer.specialTokens }, () => new Date(2024, 6, 4));
  renderers.set(chatTemplate, made);
  return made;
}

/** Returns the tokens of a record as training reads it, with the warnings about it. @param template source of the template */
export function madeOf(template: string | undefined, value: Record<string, unknown>, { maxLength = 4096, ...changes }: TokenChanges = {}) {
  const formatting: FormatSettings = { ...CHAT_FORMAT, format: 'messages', ...changes };
  const tools = { tokenizer: goldenTokenizer, chatRenderer: rendererOf(template) };
  return sampleTokenizer({ formatting, maxLength, truncation: 'turns' }, tools)({ file: 'chats.jsonl', line: 3, value });
}

export const tokensOf = (template: string | undefined, value: Record<string, unknown>, changes: TokenChanges = {}): TokenSequence =>
  elementAt(madeOf(template, value, changes).sequences, 0);

/** Decodes tokens, including special ones. */
export const textOfTokens = (ids: Iterable<number>): string => goldenTokenizer.decode([...ids], { skipSpecialTokens: false });

/** Returns the trained text, one string per contiguous span. */
export function trainedTexts({ ids, train }: TokenSequence): string[] {
  const stretches: number[][] = [];
  ids.forEach((id, i) => {
    if (train[i] !== 1) return;
    if (train[i - 1] !== 1) stretches.push([]);
    stretches.at(-1)?.push(id);
  });
  return stretches.map(textOfTokens);
}
