/** Tests that chats are the same tokenized on demand as up front, and that few are tokenized to decide about them. */
import { describe, expect, it } from 'vitest';
import { trainBatchSettings } from '../../../../trainer/data/batch/batch-settings.ts';
import { planInOrder } from '../../../../trainer/data/batch/plan-in-order.ts';
import { chatRendererOf } from '../../../../trainer/data/chat/chat-renderer.ts';
import { sampleDecider } from '../../../../trainer/data/lazy/decide/keeps-target.ts';
import type { DatasetSettings } from '../../../../trainer/data/load/load-dataset.ts';
import { byteLevelTokenizer, CHATML, pieceTokenizer } from '../../../support/models/byte-tokenizer.ts';
import { recipeIn } from '../../../support/runs/recipe-of.ts';
import { datasetSettings, writeData } from '../data-files.ts';
import { chats, holdChats, SETTINGS, TEMPLATES, TOOLS, taken, tools } from './chat-cases.ts';
import { eager, LOUD, lines, opened, tokenizerWith } from './lazy-files.ts';

describe.each([
  ['chatml', byteLevelTokenizer()],
  ['tools', byteLevelTokenizer()],
  ['chatml', pieceTokenizer({ prefix: true })],
] as const)('chats in the template %s (%#)', (name, definition) => {
  it.each(Object.entries(SETTINGS))('have the same tokens as if tokenized first, training %s', (_, settings) =>
    holdChats({ template: TEMPLATES[name] ?? '', settings, definition }),
  );
});

const counted =
  <Given extends unknown[], Result>(work: (...given: Given) => Result, count: () => void) =>
  (...given: Given): Result => {
    count();
    return work(...given);
  };

describe('the pass over chats', () => {
  /** Returns how many texts are tokenized and how many templates run to decide about these samples. */
  function effort(
    values: readonly object[],
    template: string,
    settings: Partial<DatasetSettings> = {},
  ): { texts: number; renders: number } {
    const made = tokenizerWith(template, byteLevelTokenizer());
    const inner = chatRendererOf(made);
    if (inner === undefined) throw new Error('no template');
    let [texts, renders] = [0, 0];
    const { decide } = sampleDecider(
      { formatting: { ...datasetSettings, ...settings, format: 'messages', shownLabels: [] }, maxLength: 512, truncation: 'turns' },
      {
        tokenizer: { ...made, encode: counted(made.encode, () => texts++) },
        chatRenderer: { ...inner, render: counted(inner.render, () => renders++) },
      },
    );
    const decideAll = () => {
      for (const value of values) expect(decide({ file: 'a.jsonl', line: 1, value: { ...value } }).dropped).toBeUndefined();
    };
    // What depends only on roles is decided once.
    decideAll();
    [texts, renders] = [0, 0];
    decideAll();
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

  it.each(['chatml', 'marked', 'thinks', 'qwen3.jinja'])('nor does it where every token is trained: %s', name => {
    expect(effort([{ messages: turns(4) }], TEMPLATES[name] ?? '', { completionOnly: false })).toEqual({ texts: 0, renders: 0 });
  });

  it('runs the template once where tools are described, and tokenizes none', () => {
    expect(effort([{ messages: turns(4), tools }], TOOLS)).toEqual({ texts: 0, renders: 1 });
    expect(effort([{ messages: turns(4) }], LOUD)).toEqual({ texts: 0, renders: 1 });
  });

  it('reports roles and fields that a template refuses before training, with file and line', async () => {
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

it('chats have the same batches as if tokenized first', async () => {
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
