/** Chats that are tokenized when they are needed are those of data that is tokenized first. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { trainBatchSettings } from '../../../trainer/data/batch/batch-settings.ts';
import { planInOrder } from '../../../trainer/data/batch/plan-in-order.ts';
import { chatRendererOf } from '../../../trainer/data/chat/chat-renderer.ts';
import { formatExample } from '../../../trainer/data/example/format-example.ts';
import { dropFinder } from '../../../trainer/data/lazy/keeps-target.ts';
import type { DatasetSettings } from '../../../trainer/data/load/load-dataset.ts';
import type { DataFormat } from '../../../trainer/data/types.ts';
import { createRandom } from '../../../trainer/random.ts';
import { byteLevelTokenizer, CHATML } from '../../support/models/byte-tokenizer.ts';
import { recipeIn } from '../../support/runs/recipe-of.ts';
import { datasetSettings, writeData } from './data-files.ts';
import { eager, LOUD, lines, opened, root, TRIMS, tokenizerWith, words } from './lazy-files.ts';

const MARKED =
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
/** Opens the reasoning of the answer that it asks for, and leaves that of earlier ones out. */
const THINKS =
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}";
const TOOLS = `{% if tools %}<|im_start|>tools\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}{% for c in m.tool_calls or [] %}<call>{{ c.function | tojson }}</call>{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}`;

const golden = join(root, 'test/golden/jinja/templates');
const TEMPLATES: Readonly<Record<string, string>> = {
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
const tools = [{ type: 'function', function: { name: 'find', description: words(9), parameters: { type: 'object', properties: {} } } }];

interface Turn {
  readonly role: string;
  readonly content?: string;
  readonly [field: string]: unknown;
}

/** A chat of up to four questions, some of it unusual. */
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
const chats = Array.from({ length: 240 }, (_, i) => chat(i));
const asShareGpt = ({ messages, ...rest }: (typeof chats)[number]) => ({
  ...rest,
  conversations: messages.map(({ role, content, ...others }) => ({
    ...others,
    from: role === 'user' ? 'human' : role === 'assistant' ? 'gpt' : role,
    ...(content !== undefined && { value: content }),
  })),
});

/** Those that the template takes: it refuses others in any case. */
function taken(values: readonly object[], template: string, settings: Partial<DatasetSettings>, format: DataFormat): object[] {
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

const SETTINGS: Readonly<Record<string, Partial<DatasetSettings>>> = {
  'all answers': {},
  'the last answer': { trainedTurns: 'last' },
  'turns of users too': { trainedRoles: ['user', 'assistant'] },
  'answers that may be cut': { truncation: 'end' },
};

describe.each(Object.entries(TEMPLATES))('chats in the template %s', (_, template) => {
  it.each(Object.entries(SETTINGS))('are those that are tokenized first, where %s are trained', async (_, settings) => {
    let [samples, dropped] = [0, 0];
    for (const [format, given] of [
      ['messages', chats],
      ['sharegpt', chats.slice(0, 80).map(asShareGpt)],
    ] as const) {
      const values = taken(given, template, settings, format);
      const file = writeData('a.jsonl', lines(values));
      for (const maxLength of [70, 200, 512]) {
        const expected = await eager(file, { template, settings, maxLength }).catch((error: Error) => error.message);
        if (typeof expected === 'string') {
          await expect(opened(file, { template, settings, maxLength })).rejects.toThrow(expected);
          continue;
        }
        const found = await opened(file, { template, settings, maxLength });
        const { read, dropped: left } = expected.report;
        expect(found.index).toMatchObject({ samples: expected.examples.length, read, dropped: left });
        expect([...found.examples]).toEqual([...expected.examples]);
        samples += expected.examples.length;
        dropped += Object.values(left).reduce((sum, count) => sum + count, 0);
      }
    }
    expect(samples).toBeGreaterThan(0);
    expect(dropped).toBeGreaterThan(0);
  });
});

const counted =
  <Given extends unknown[], Result>(work: (...given: Given) => Result, count: () => void) =>
  (...given: Given): Result => {
    count();
    return work(...given);
  };

describe('the pass over chats', () => {
  /** How many texts are tokenized to decide about these samples, and how many templates run. */
  function effort(
    values: readonly object[],
    template: string,
    settings: Partial<DatasetSettings> = {},
  ): { texts: number; renders: number } {
    const made = tokenizerWith(template, byteLevelTokenizer());
    const inner = chatRendererOf(made);
    if (inner === undefined) throw new Error('no template');
    let [texts, renders] = [0, 0];
    const dropOf = dropFinder(
      { formatting: { ...datasetSettings, ...settings, format: 'messages', shownLabels: [] }, maxLength: 512, truncation: 'turns' },
      {
        tokenizer: { ...made, encode: counted(made.encode, () => texts++) },
        chatRenderer: { ...inner, render: counted(inner.render, () => renders++) },
      },
    );
    const decide = () => {
      for (const value of values) expect(dropOf({ file: 'a.jsonl', line: 1, value: { ...value } })).toBeUndefined();
    };
    // What depends on roles alone is found out once.
    decide();
    [texts, renders] = [0, 0];
    decide();
    return { texts, renders };
  }
  const turns = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content: `word${i} word` }));

  it.each(['chatml', 'trims', 'marked', 'thinks', 'qwen3.jinja', 'llama3.jinja', 'gemma3.jinja'])(
    'neither tokenizes short ones nor runs the template: %s',
    name => {
      const values = [2, 4, 6, 7].map(count => ({ messages: turns(count) }));
      for (const settings of [{}, { trainedTurns: 'last' as const }])
        expect(effort(values, TEMPLATES[name] ?? '', settings)).toEqual({ texts: 0, renders: 0 });
    },
  );

  it('runs the template once where tools are described, and tokenizes none', () => {
    expect(effort([{ messages: turns(4), tools }], TOOLS)).toEqual({ texts: 0, renders: 1 });
    expect(effort([{ messages: turns(4) }], LOUD)).toEqual({ texts: 0, renders: 1 });
  });

  it('reports what a template refuses of roles and fields before training, with file and line', async () => {
    const strict = `{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns alternate') }}{% endif %}{% endfor %}${CHATML}`;
    const good = Array.from({ length: 20 }, () => ({ messages: turns(4) }));
    const refused = { messages: [...turns(3), { role: 'user', content: 'word' }, { role: 'assistant', content: 'word' }] };
    for (const [bad, problem] of [
      [refused, /a\.jsonl:21: .*turns alternate/s],
      [{ messages: turns(2), tools }, /a\.jsonl:21: .*does not use this field/s],
      [{ messages: [{ role: 'nobody', content: 'x' }] }, /a\.jsonl:21: .*the unknown role "nobody"/s],
      [{ messages: [] }, /a\.jsonl:21: .*no turns/s],
    ] as const) {
      const file = writeData('a.jsonl', lines([...good, bad]));
      await expect(eager(file, { template: strict })).rejects.toThrow(problem);
      await expect(opened(file, { template: strict })).rejects.toThrow(problem);
    }
  });

  it('leaves what a template refuses of a text to the update that needs it, which names file and line', async () => {
    const haunted = `{% if 'boo' in messages[0].content %}{{ raise_exception('no ghosts') }}{% endif %}${CHATML}`;
    const file = writeData(
      'a.jsonl',
      lines([{ messages: turns(2) }, { messages: [{ role: 'user', content: 'boo' }, ...turns(2).slice(1)] }]),
    );
    const { examples } = await opened(file, { template: haunted });
    expect(examples.at(0)?.line).toBe(1);
    expect(() => examples.at(1)).toThrow(/a\.jsonl:2: .*no ghosts/s);
  });
});

it('chats have the batches that they have when they are tokenized first', async () => {
  const file = writeData('a.jsonl', lines(taken(chats, CHATML, {}, 'messages')));
  const all = (await eager(file, { maxLength: 200 })).examples;
  const { examples } = await opened(file, { maxLength: 200, threads: 2 });
  for (const grouped of [true, false]) {
    const text = JSON.stringify({ model: 'm', max_length: 200, group_by_length: grouped });
    const settings = trainBatchSettings(recipeIn(text, { fileName: 'recipe.json' }));
    const [first, lazy] = [planInOrder(all.sizes, settings), planInOrder(examples.sizes, settings)];
    for (const epoch of [0, 1]) expect(lazy.epoch(epoch)).toEqual(first.epoch(epoch));
  }
});
