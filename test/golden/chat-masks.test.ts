/** Compares token ids and trained tokens of 40 conversations in twelve chat templates with Transformers and TRL. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { chatRendererOf } from '../../trainer/data/chat/chat-renderer.ts';
import { createEncoder } from '../../trainer/data/example/encoder.ts';
import { formatExample } from '../../trainer/data/example/format-example.ts';
import type { FormattedExample } from '../../trainer/data/types.ts';
import { createTokenizer } from '../../trainer/format/tokenizer/tokenizer.ts';
import { messageOf } from '../../trainer/protocol/error-facts.ts';
import { CHAT_FORMAT, templateNamed } from '../support/chat-format.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

const rowForm = z.object({
  count: z.number(),
  sum: z.number(),
  /** Start and end of each trained span; absent if no reference marks them. */
  runs: z.array(z.tuple([z.number(), z.number()])).optional(),
});
const golden = readGoldenJson(
  'chat_masks.json',
  z.object({
    conversations: z.array(z.record(z.string(), z.unknown())),
    tokenizer: z.unknown(),
    templates: z.record(z.string(), z.array(rowForm.nullable())),
  }),
);
const tokenizer = createTokenizer({
  source: 'chat_masks.json',
  files: new Map([
    ['tokenizer.json', JSON.stringify(golden.tokenizer)],
    ['tokenizer_config.json', JSON.stringify({ bos_token: '<s>', eos_token: '</s>' })],
  ]),
});
const encoder = createEncoder(tokenizer);

function format(template: string, value: Readonly<Record<string, unknown>>): FormattedExample {
  const chatTemplate = templateNamed(template);
  return formatExample(
    { file: 'chats.jsonl', line: 1, value },
    {
      ...CHAT_FORMAT,
      format: 'messages',
      chatRenderer: chatRendererOf({ chatTemplate, specialTokens: tokenizer.specialTokens }, () => new Date(2024, 6, 4, 15, 5, 9)),
    },
  );
}

/** Returns the tokens of the pieces, each encoded separately as in training, and the trained spans. */
function encoded({ pieces }: FormattedExample): { readonly ids: readonly number[]; readonly runs: readonly (readonly number[])[] } {
  const ids: number[] = [];
  const trains: boolean[] = [];
  for (const { text, train } of pieces) {
    const found = ids.length === 0 ? encoder.startPlain(text) : encoder.next(text);
    ids.push(...found);
    trains.push(...found.map(() => train));
  }
  // Two consecutive answers form one span.
  const edges = [...trains, false].flatMap((flag, i) => (flag === (trains[i - 1] ?? false) ? [] : [i]));
  return { ids, runs: edges.flatMap((edge, i) => (i % 2 === 0 ? [[edge, edges[i + 1] ?? 0]] : [])) };
}

const sumOf = (ids: readonly number[]): number => ids.reduce((sum, id, i) => (sum + (i + 1) * id) % (2 ** 31 - 1), 0);

/** Reasons for rejecting a conversation although its template can render it. */
const REASONS: Readonly<Record<string, RegExp>> = {
  empty: /an empty answer/,
  field: /does not use this field|does not write this tool/,
  part: /leaves out a part of this answer/,
  place: /cannot be found in the text/,
  begins: /begins with an answer/,
  system: /drops the system message/,
  turn: /drops this turn/,
};

function reasonOf(error: unknown): string {
  const message = messageOf(error);
  return Object.keys(REASONS).find(name => REASONS[name]?.test(message)) ?? message;
}

/** The conversations that training rejects, by template and reason. */
const REFUSED: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>> = {
  chatml: { empty: [23], field: [33, 34, 35, 37, 38, 39] },
  'deepseek-r1': { empty: [23], begins: [29], part: [31, 32], field: [33, 34, 35, 37, 38, 39] },
  gemma3: { empty: [23], field: [33, 34, 39] },
  'gpt-oss': { empty: [23], begins: [29], turn: [30], part: [33, 37, 38] },
  llama2: { empty: [23], field: [33, 34, 39] },
  'llama3.0': { empty: [23], field: [33, 34, 35, 36, 37, 38, 39] },
  llama3: { empty: [23], begins: [29], field: [33, 34], part: [37] },
  // The template drops the system message if the last turn is an answer.
  mistral: { empty: [23], field: [33, 34], system: [3, 37] },
  phi4: { empty: [23], field: [33, 34, 35, 37, 38, 39] },
  'qwen2.5': { empty: [23], begins: [29], field: [33, 34] },
  qwen3: { empty: [23], place: [28], begins: [29], part: [32, 33] },
  smollm3: { empty: [23], turn: [30], field: [33, 34, 35, 36, 37, 38] },
};

/** The conversations whose system message the template drops, but that are trained with it, as in the prompt of their last answer. */
const KEEPS_SYSTEM: Readonly<Record<string, readonly number[]>> = { mistral: [1, 26] };

describe.each(Object.entries(golden.templates))('%s', (name, rows) => {
  test('ids and trained tokens', () => {
    const refused: Record<string, number[]> = {};
    const refuse = (reason: string, i: number) => {
      refused[reason] = [...(refused[reason] ?? []), i];
    };
    for (const [i, row] of rows.entries()) {
      let example: FormattedExample;
      try {
        example = format(name, golden.conversations[i] ?? {});
      } catch (error) {
        if (row !== null) refuse(reasonOf(error), i);
        continue;
      }
      if (KEEPS_SYSTEM[name]?.includes(i)) {
        expect(example.notes).toEqual([expect.stringContaining('writes into the last question')]);
        continue;
      }
      const { ids, runs } = encoded(example);
      expect({ i, count: ids.length, sum: sumOf(ids) }).toEqual({ i, count: row?.count, sum: row?.sum });
      if (row?.runs) expect({ i, runs }).toEqual({ i, runs: row.runs });
    }
    expect(refused).toEqual(REFUSED[name]);
  });
});
