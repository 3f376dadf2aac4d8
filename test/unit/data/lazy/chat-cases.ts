/** Chats in many templates, some unusual, and their law: chats tokenized on demand equal those tokenized up front. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { chatRendererOf } from '../../../../trainer/data/chat/chat-renderer.ts';
import { formatExample } from '../../../../trainer/data/example/format-example.ts';
import type { DatasetSettings } from '../../../../trainer/data/load/load-dataset.ts';
import type { DataFormat } from '../../../../trainer/data/types.ts';
import { createRandom } from '../../../../trainer/random.ts';
import { byteLevelTokenizer, CHATML } from '../../../support/models/byte-tokenizer.ts';
import { datasetSettings, writeData } from '../data-files.ts';
import { eager, LOUD, lines, opened, root, TRIMS, tokenizerWith, words } from './lazy-files.ts';

const MARKED =
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
/** A template that opens the reasoning of the requested answer and omits that of earlier ones. */
const THINKS =
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}";
export const TOOLS = `{% if tools %}<|im_start|>tools\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}{% for c in m.tool_calls or [] %}<call>{{ c.function | tojson }}</call>{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}`;

const golden = join(root, 'test/golden/jinja/templates');
export const TEMPLATES: Readonly<Record<string, string>> = {
  chatml: CHATML,
  trims: TRIMS,
  loud: LOUD,
  marked: MARKED,
  thinks: THINKS,
  tools: TOOLS,
  ...Object.fromEntries(readdirSync(golden).map(name => [name, readFileSync(join(golden, name), 'utf8')])),
};

const random = createRandom(11);
const one = <T>(values: readonly [T, ...T[]]): T => values[random.below(values.length)] ?? values[0];
const call = { type: 'function', function: { name: 'find', arguments: { what: 'word1' } } };
export const tools = [
  { type: 'function', function: { name: 'find', description: words(9), parameters: { type: 'object', properties: {} } } },
];

interface Turn {
  readonly role: string;
  readonly content?: string;
  readonly [field: string]: unknown;
}

/** A chat of up to four questions, with some unusual features. */
function chat(i: number): { readonly messages: readonly Turn[]; readonly tools?: unknown } {
  const questions = 1 + random.below(4);
  const messages: Turn[] = i % 4 === 0 ? [{ role: 'system', content: one(['', '  ', words(4), words(30)]) }] : [];
  for (let turn = 0; turn < questions; turn++) {
    messages.push({ role: 'user', content: one([words(5), words(5), words(40), ` ${words(3)}\n`]), ...(i % 17 === 0 && { name: 'ann' }) });
    if (i % 9 === 0 && turn === 0)
      messages.push({ role: 'assistant', tool_calls: [call], ...(i % 2 === 0 && { content: '' }) }, { role: 'tool', content: words(6) });
    const content = one([words(8), words(8), words(30), `<think>${words(6)}</think>${words(4)}`, 'é', '\u0001\u0002']);
    messages.push({ role: 'assistant', content, ...(i % 7 === 0 && { train: random.below(2) === 1 }) });
  }
  if (i % 10 === 0) messages.push({ role: 'user', content: words(4) });
  if (i % 31 === 0) messages.shift();
  if (i % 37 === 0) return { messages: [{ role: 'user', content: words(4) }] };
  return { messages, ...((i % 9 === 0 || i % 23 === 0) && { tools }) };
}
/** Enough chats that every unusual feature occurs, and in combination with others. */
export const chats = Array.from({ length: 64 }, (_, i) => chat(i));
const asShareGpt = ({ messages, ...rest }: (typeof chats)[number]) => ({
  ...rest,
  conversations: messages.map(({ role, content, ...others }) => ({
    ...others,
    from: role === 'user' ? 'human' : role === 'assistant' ? 'gpt' : role,
    ...(content !== undefined && { value: content }),
  })),
});

/** Returns the chats that the template accepts. */
export function taken(values: readonly object[], template: string, settings: Partial<DatasetSettings>, format: DataFormat): object[] {
  const renderer = chatRendererOf(tokenizerWith(template, byteLevelTokenizer()));
  const formatting = { ...datasetSettings, ...settings, format, shownLabels: [], chatRenderer: renderer };
  return values.filter(value => {
    try {
      formatExample({ file: 'a.jsonl', line: 1, value: { ...value } }, formatting);
      return true;
    } catch {
      return false;
    }
  });
}

export const SETTINGS: Readonly<Record<string, Partial<DatasetSettings>>> = {
  'all answers': {},
  'the last answer': { trainedTurns: 'last' },
  'turns of users too': { trainedRoles: ['user', 'assistant'] },
  'answers that may be cut': { truncation: 'end' },
  'answers without their ends': { contextParts: ['end_of_turn'] },
  'answers without their reasoning': { contextParts: ['reasoning', 'end_of_turn'] },
  'all tokens': { completionOnly: false },
};

const SHAPES = [
  ['messages', chats],
  ['sharegpt', chats.slice(0, 24).map(asShareGpt)],
] as const;

export interface ChatCase {
  readonly template: string;
  readonly settings: Partial<DatasetSettings>;
  readonly definition?: ReturnType<typeof byteLevelTokenizer>;
  /** The shapes of data. Default: all. */
  readonly shapes?: readonly DataFormat[];
  /** Maximum tokens of a sample. Small ones drop samples, large ones keep some. */
  readonly lengths?: readonly number[];
}

/** Checks that chats in a template are the same both ways, whatever is trained. */
export async function holdChats({
  template,
  settings,
  definition = byteLevelTokenizer(),
  shapes = SHAPES.map(([format]) => format),
  lengths = [30, 70, 512],
}: ChatCase): Promise<void> {
  let [accepted, samples, dropped] = [0, 0, 0];
  for (const [format, given] of SHAPES.filter(([format]) => shapes.includes(format))) {
    const values = taken(given, template, settings, format);
    accepted += values.length;
    if (values.length === 0) continue;
    const file = writeData('a.jsonl', lines(values));
    for (const maxLength of lengths) {
      const expected = await eager(file, { template, settings, maxLength, definition }).catch((error: Error) => error.message);
      if (typeof expected === 'string') {
        await expect(opened(file, { template, settings, maxLength, definition })).rejects.toThrow(expected);
        continue;
      }
      const found = await opened(file, { template, settings, maxLength, definition });
      const { read, dropped: left } = expected.report;
      expect(found.index).toMatchObject({ samples: expected.examples.length, read, dropped: left });
      expect([...found.examples]).toEqual([...expected.examples]);
      samples += expected.examples.length;
      dropped += Object.values(left).reduce((sum, count) => sum + count, 0);
    }
  }
  // A template that changes what users say cannot train the turns of users.
  if (accepted === 0) expect([template, settings.trainedRoles]).toEqual([LOUD, ['user', 'assistant']]);
  else expect(samples).toBeGreaterThan(0);
  // If all tokens or the users' turns are trained, a chat starts with something to train, so none is dropped.
  if (accepted > 0 && settings.completionOnly !== false && !settings.trainedRoles) expect(dropped).toBeGreaterThan(0);
}
