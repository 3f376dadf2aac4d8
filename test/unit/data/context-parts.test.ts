/** Tests answers trained without their reasoning or end token: the same tokens with fewer trained, in published templates. */
import { describe, expect, it, test } from 'vitest';
import { z } from 'zod';
import type { ContextPart } from '../../../trainer/data/chat/context-parts.ts';
import type { TokenSequence } from '../../../trainer/data/types.ts';
import { elementAt } from '../../../trainer/narrow.ts';
import { datasetSettings } from '../../../trainer/objective/load-data.ts';
import { templateNamed } from '../../support/chat-format.ts';
import {
  type TokenChanges as Changes,
  goldenChats,
  goldenTemplates,
  goldenTokenizer as tokenizer,
  tokensOf,
  trainedTexts as trained,
} from '../../support/golden/chat-tokens.ts';
import { recipeOf } from '../../support/runs/recipe-of.ts';

const chat = (...answers: Record<string, unknown>[]) => ({
  messages: answers.flatMap((answer, i) => [
    { role: 'user', content: `Question ${i}?` },
    { role: 'assistant', content: 'It is 4.', ...answer },
  ]),
});
const reasoned = chat({ reasoning_content: 'Count the sticks.' });
const looking = [{ type: 'function', function: { name: 'look', description: 'Looks.', parameters: { type: 'object' } } }];
const calling = (fields: Record<string, unknown> = {}) => ({
  tools: looking,
  messages: [
    { role: 'user', content: 'Look!' },
    {
      role: 'assistant',
      ...fields,
      tool_calls: [{ id: 'call00001', type: 'function', function: { name: 'look', arguments: { at: 'it' } } }],
    },
  ],
});
const without = (...contextParts: ContextPart[]): Changes => ({ contextParts });

describe('without reasoning', () => {
  test.each([
    ['qwen3', 'It is 4.<|im_end|>'],
    ['gpt-oss', '<|channel|>final<|message|>It is 4.<|return|>'],
  ])('%s trains the answer alone', (name, answer) => {
    const sequence = tokensOf(templateNamed(name), reasoned, without('reasoning'));
    expect(trained(sequence)).toEqual([answer]);
    expect(tokenizer.decode([...sequence.ids], { skipSpecialTokens: false })).toContain('Count the sticks.');
  });

  test.each(['chatml', 'gemma3', 'llama3', 'phi4', 'qwen2.5', 'smollm3'])(
    '%s: reasoning in tags, which the template does not know',
    name => {
      const [text] = trained(
        tokensOf(templateNamed(name), chat({ content: '<think>\nCount.\n</think>\n\nIt is 4.' }), without('reasoning', 'end_of_turn')),
      ).slice(-1);
      expect(text).toBe('It is 4.');
    },
  );

  test.each([
    ['qwen3', /^<tool_call>[\s\S]*look[\s\S]*<\/tool_call><\|im_end\|>$/],
    ['gpt-oss', /^ to=functions\.look<\|channel\|>commentary json<\|message\|>\{[\s\S]*\}<\|call\|>$/],
  ])('%s trains a call behind reasoning', (name, call) => {
    const [text, ...others] = trained(tokensOf(templateNamed(name), calling({ thinking: 'I have to look.' }), without('reasoning')));
    expect(text).toMatch(call);
    expect(others).toEqual([]);
  });

  it('tags in the middle of an answer are not taken for reasoning', () => {
    const content = 'The tag <think> opens reasoning.';
    expect(trained(tokensOf(templateNamed('chatml'), chat({ content }), without('reasoning', 'end_of_turn')))).toEqual([content]);
  });

  test('reasoning that is not closed, or without marks, is an error with its line', () => {
    expect(() => tokensOf(templateNamed('chatml'), chat({ content: '<think> Count.' }), without('reasoning'))).toThrow(
      'chats.jsonl:3: key "messages[1]": the reasoning of this answer cannot be located',
    );
    const unmarked =
      '{% for m in messages %}{{ m.role }}: {{ m.reasoning_content or "" }} {{ m.content }}<end>\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}';
    expect(() => tokensOf(unmarked, reasoned, without('reasoning'))).toThrow(
      'key "messages[1]": the reasoning of this answer cannot be located',
    );
  });

  it('plain text leaves out what stands between tags', () => {
    const value = { prompt: '2 + 2?', completion: '<think>Count.</think> It is 4.' };
    const [text] = trained(tokensOf(undefined, value, { format: 'prompt_completion', ...without('reasoning', 'end_of_turn') }));
    expect(text).toBe('It is 4.');
  });
});

describe('without the end of the turn', () => {
  const turns = (template: string) => trained(tokensOf(template, chat({ content: 'One</s>' }, { content: 'Two' }), without('end_of_turn')));

  test.each(['chatml', 'gemma3', 'gpt-oss', 'llama2', 'llama3', 'mistral', 'phi4', 'qwen2.5', 'qwen3', 'smollm3'])('%s', name => {
    const [one, two, ...others] = turns(templateNamed(name));
    expect([one?.endsWith('One</s>'), two?.endsWith('Two'), others]).toEqual([true, true, []]);
  });

  test.each([
    ['qwen3', /<\/tool_call>$/],
    ['llama3', /\}\}$/],
    ['gpt-oss', /\}$/],
    ['mistral', /\]$/],
  ])('%s, of a call', (name, end) => {
    expect(elementAt(trained(tokensOf(templateNamed(name), calling(), without('end_of_turn'))), 0)).toMatch(end);
  });

  it('has no effect on a template whose own marks leave the end out', () => {
    const template =
      "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}<b>{% else %}{{ m.content }}{% endif %}{% endfor %}";
    const value = chat({ content: 'Say <i>it</i>' });
    expect(tokensOf(template, value, without('end_of_turn'))).toEqual(tokensOf(template, value));
  });

  it('plain text is not ended', () => {
    const value = { prompt: '2 + 2?', completion: ' 4' };
    const train = (parts: Changes) => tokensOf(undefined, value, { format: 'prompt_completion', ...parts });
    expect([...train({}).ids]).toEqual([...train(without('end_of_turn')).ids, ...tokenizer.eosIds]);
  });
});

describe('laws', () => {
  it('training everything leaves the fingerprint of the data unchanged', () => {
    const keysOf = (...settings: string[]) => {
      const made = datasetSettings({ recipe: recipeOf('model=m', 'data.train=a.jsonl', ...settings) }, undefined);
      return Object.keys(z.record(z.string(), z.unknown()).parse(JSON.parse(JSON.stringify(made))));
    };
    expect(keysOf('data.train_reasoning=true')).not.toContain('contextParts');
    expect(keysOf('data.train_end_of_turn=false')).toContain('contextParts');
  });

  const parts: ContextPart[] = ['reasoning', 'end_of_turn'];

  test.each(goldenTemplates)('%s: the tokens stay, up to the last target, and no other token is trained', name => {
    let changed = 0;
    for (const value of goldenChats) {
      let whole: TokenSequence;
      try {
        whole = tokensOf(templateNamed(name), value);
      } catch {
        continue;
      }
      const { ids, train } = tokensOf(templateNamed(name), value, without(...parts));
      expect([...ids]).toEqual([...whole.ids.slice(0, ids.length)]);
      expect(train.every((flag, i) => flag <= (whole.train[i] ?? 0))).toBe(true);
      expect(train.at(-1)).toBe(1);
      changed += Number(ids.length < whole.ids.length);
    }
    expect(changed).toBeGreaterThan(10);
  });

  it('trained text keeps the weight of its turn', () => {
    const value = chat({ content: 'One', weight: 0.25 }, { content: 'Two' });
    const { ids, train, weights } = tokensOf(templateNamed('qwen3'), value, without(...parts));
    const weightOf = (text: string) =>
      weights?.[ids.findIndex((id, i) => train[i] === 1 && tokenizer.decode([id], { skipSpecialTokens: false }).includes(text))];
    expect([weightOf('O'), weightOf('T')]).toEqual([0.25, 1]);
  });

  it('with trained prompts, everything except these parts is trained', () => {
    const whole = tokensOf(templateNamed('qwen3'), reasoned, { completionOnly: false });
    const some = tokensOf(templateNamed('qwen3'), reasoned, { completionOnly: false, ...without(...parts) });
    const text = trained(some).join('¦');
    expect(text).toMatch(/user\nQuestion 0\?[\s\S]*assistant\n¦It is 4\.¦\n$/);
    expect([...some.ids]).toEqual([...whole.ids.slice(0, some.ids.length)]);
  });

  it('a chat is cut at the same place', () => {
    const value = chat({ content: 'One' }, { content: 'Two' }, { content: 'Three '.repeat(40) });
    const { ids } = tokensOf(templateNamed('chatml'), value, { maxLength: 80 });
    const some = tokensOf(templateNamed('chatml'), value, { maxLength: 80, ...without(...parts) });
    expect(trained(some)).toEqual(['One', 'Two']);
    expect([...some.ids]).toEqual([...ids.slice(0, some.ids.length)]);
  });

  it('cutting the prompt does not shift these parts', () => {
    const value = { instruction: 'Count.', input: 'word '.repeat(200), output: '<think>Count.</think>It is 4.' };
    const settings: Changes = { format: 'alpaca', completionOnly: false, maxLength: 200, ...without('reasoning') };
    const stretches = trained(tokensOf(templateNamed('chatml'), value, settings));
    expect(stretches).toHaveLength(2);
    expect(stretches[1]).toBe('It is 4.<|im_end|>\n');
  });
});
