/** Turns of selected roles in published templates: the tokens are unchanged, and the text of these turns and their end are trained. */
import { describe, expect, it, test } from 'vitest';
import { formatExample } from '../../../trainer/data/example/format-example.ts';
import type { TokenSequence } from '../../../trainer/data/types.ts';
import { datasetSettings } from '../../../trainer/objective/load-data.ts';
import { CHAT_FORMAT, templateNamed } from '../../support/chat-format.ts';
import { goldenChats, goldenTemplates, madeOf, textOfTokens, tokensOf, trainedTexts } from '../../support/golden/chat-tokens.ts';
import { recipeOf } from '../../support/runs/recipe-of.ts';

const roles = (...trainedRoles: string[]) => ({ trainedRoles });
const talk = {
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'One?' },
    { role: 'assistant', content: 'Two.' },
    { role: 'user', content: 'Three?' },
    { role: 'assistant', content: 'Four.' },
  ],
};
const withoutSystem = { messages: talk.messages.slice(1) };
const look = { id: 'call00001', type: 'function', function: { name: 'look', arguments: { at: 'it' } } };
const called = {
  tools: [{ type: 'function', function: { name: 'look', description: 'Looks.', parameters: { type: 'object', properties: {} } } }],
  messages: [
    { role: 'user', content: 'Look!' },
    { role: 'assistant', tool_calls: [look] },
    { role: 'tool', tool_call_id: 'call00001', name: 'look', content: 'A tree.' },
    { role: 'assistant', content: 'There is a tree.' },
  ],
};

/** Returns the answers, each from its marked start. */
const answersIn = ({ ids, train, answers = [] }: TokenSequence): string[] =>
  answers.map(from => textOfTokens(ids.subarray(from, train.indexOf(0, from) < 0 ? undefined : train.indexOf(0, from))));

describe('turns of the user', () => {
  test.each([
    ['chatml', '<|im_end|>'],
    ['deepseek-r1', ''],
    ['gemma3', '<end_of_turn>'],
    ['gpt-oss', '<|end|>'],
    ['llama2', ' [/INST]'],
    ['llama3', '<|eot_id|>'],
    ['mistral', '[/INST]'],
    ['phi4', '<|end|>'],
    ['qwen2.5', '<|im_end|>'],
    ['qwen3', '<|im_end|>'],
    ['smollm3', '<|im_end|>'],
  ])('%s ends them with %j', (name, end) =>
    expect(trainedTexts(tokensOf(templateNamed(name), withoutSystem, roles('user')))).toEqual([`One?${end}`, `Three?${end}`]),
  );

  it('together with answers, which still count as answers', () => {
    const sequence = tokensOf(templateNamed('llama2'), withoutSystem, roles('user', 'assistant'));
    expect(trainedTexts(sequence).join('')).toContain('One? [/INST] Two.');
    expect(answersIn(sequence).map(text => text.trim())).toEqual(['Two. </s>', 'Four. </s>']);
  });

  it('without their end marks', () =>
    expect(trainedTexts(tokensOf(templateNamed('qwen3'), withoutSystem, { ...roles('user'), contextParts: ['end_of_turn'] }))).toEqual([
      'One?',
      'Three?',
    ]));

  it('trains only the last turn of these roles with data.trained_turns: last', () => {
    const last = (...of: string[]) =>
      trainedTexts(tokensOf(templateNamed('chatml'), withoutSystem, { ...roles(...of), trainedTurns: 'last' }));
    expect(last('user')).toEqual(['Three?<|im_end|>']);
    expect(last('user', 'assistant')).toEqual(['Four.<|im_end|>']);
  });
});

describe('other roles', () => {
  test.each(['chatml', 'llama2', 'llama3', 'gemma3', 'phi4', 'qwen2.5', 'qwen3', 'smollm3', 'deepseek-r1', 'gpt-oss'])(
    '%s: the system message, once',
    name => {
      const [text, ...others] = trainedTexts(tokensOf(templateNamed(name), talk, roles('system')));
      expect(text).toMatch(/^Be brief\.(\s*\S+)?$/);
      expect(text).not.toContain('One?');
      expect(others).toEqual([]);
    },
  );

  test.each(['qwen3', 'qwen2.5', 'llama3', 'mistral', 'gpt-oss'])('%s: results of tools are trained', name => {
    const texts = trainedTexts(tokensOf(templateNamed(name), called, roles('tool')));
    expect(texts).toHaveLength(1);
    expect(texts[0]).toMatch(/^A tree\.(\s*\S+)?$/);
  });

  it('a system message that the template drops is an error with its role', () =>
    expect(() => tokensOf(templateNamed('mistral'), talk, roles('system'))).toThrow('drops the system message of this chat'));

  it('a turn that the template does not write, or writes twice, is an error with its role', () => {
    const header = "{% for m in messages %}{% if m.role != 'system' %}<{{ m.role }}>{{ m.content }}</s>{% endif %}{% endfor %}";
    const marked = `${header.replace('{{ m.content }}', '{% generation %}{{ m.content }}{% endgeneration %}')}`;
    const twice = marked.replace('{% if m.role', "{% if m.role == 'user' %}{{ m.content }}{% endif %}{% if m.role");
    expect(() => tokensOf(marked, talk, roles('system'))).toThrow(
      /chats\.jsonl:3: key "messages\[0\]": the model's chat template does not write this turn of the role 'system' once/,
    );
    expect(() => tokensOf(twice, withoutSystem, roles('user'))).toThrow("this turn of the role 'user' once");
  });

  it('a trained role without a turn is noted', () => {
    const { notes, dropped } = madeOf(templateNamed('qwen3'), withoutSystem, roles('tool'));
    expect([notes, dropped]).toEqual([["have no turn of the role 'tool', which data.trained_roles trains"], 'no_target']);
    expect(madeOf(templateNamed('qwen3'), withoutSystem).notes).toEqual([]);
  });

  it('work together with the stretches that the template marks', () => {
    const template =
      "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}{% generation %}{{ m.content }}!{% endgeneration %}{% else %}{{ m.content }}?{% endif %}{% endfor %}";
    const { messages } = withoutSystem;
    const short = { messages: messages.map(({ role, content }) => ({ role, content: content.slice(0, 3) })) };
    expect(trainedTexts(tokensOf(template, short, roles('user', 'assistant')))).toEqual(['One?', 'Two!', 'Thr?', 'Fou!']);
    expect(trainedTexts(tokensOf(template, short, roles('user')))).toEqual(['One?', 'Thr?']);
  });
});

describe('single turns', () => {
  const withTurn = (index: number, fields: object) => ({
    messages: withoutSystem.messages.map((message, i) => (i === index ? { ...message, ...fields } : message)),
  });

  it('train: true trains a turn of any role, and train: false none', () => {
    const chatml = templateNamed('chatml');
    expect(trainedTexts(tokensOf(chatml, withTurn(0, { train: true })))).toEqual(['One?<|im_end|>', 'Two.<|im_end|>', 'Four.<|im_end|>']);
    expect(trainedTexts(tokensOf(chatml, withTurn(0, { train: true }), roles()))).toEqual(['One?<|im_end|>']);
    expect(trainedTexts(tokensOf(chatml, withTurn(2, { train: false }), roles('user')))).toEqual(['One?<|im_end|>']);
  });

  it('the weight of a turn applies to that turn only', () => {
    const { ids, weights, train } = tokensOf(templateNamed('chatml'), withTurn(2, { weight: 0.5 }), roles('user', 'assistant'));
    const weightOf = (text: string) => weights?.[ids.findIndex((id, i) => train[i] === 1 && textOfTokens([id]).includes(text))];
    expect([weightOf('O'), weightOf('Th'), weightOf('F')]).toEqual([1, 0.5, 1]);
  });
});

describe('laws', () => {
  test.each(goldenTemplates)('%s: the tokens stay, up to the last target, and more of them are trained', name => {
    const template = templateNamed(name);
    const all = roles('assistant', 'user', 'system', 'tool');
    let more = 0;
    for (const value of goldenChats) {
      let usual: ReturnType<typeof madeOf>;
      let every: ReturnType<typeof madeOf>;
      try {
        usual = madeOf(template, value);
        every = madeOf(template, value, all);
      } catch (error) {
        expect(error).toMatchObject({ name: 'DataError' });
        continue;
      }
      const [one, other] = [usual.sequences[0], every.sequences[0]];
      if (one === undefined || other === undefined) continue;
      expect([...other.ids.slice(0, one.ids.length)]).toEqual([...one.ids]);
      expect(one.train.every((flag, i) => flag <= (other.train[i] ?? 0))).toBe(true);
      expect(other.answers).toEqual(one.answers);
      more += Number(other.train.reduce((sum, flag) => sum + flag, 0) > one.train.reduce((sum, flag) => sum + flag, 0));
    }
    expect(more).toBeGreaterThan(15);
  });

  it('two answers in a row are trained separately, without the text between them', () => {
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'one' },
      { role: 'assistant', content: 'two' },
    ];
    const adjacent =
      "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}</s>{% endif %}{% endfor %}";
    for (const template of [adjacent, templateNamed('chatml'), templateNamed('gpt-oss')])
      for (const completionOnly of [true, false]) {
        const sequence = tokensOf(template, { messages }, { completionOnly });
        const [one, two, ...others] = sequence.answers ?? [];
        expect(others).toEqual([]);
        const text = (from?: number, to?: number) => textOfTokens(sequence.ids.subarray(from, to));
        expect([text(0, one), text(one, two), text(two)]).toEqual([
          expect.stringContaining('Hi'),
          expect.stringContaining('one'),
          expect.stringContaining('two'),
        ]);
        expect(text(0, one)).not.toContain('one');
      }
  });

  it('the default leaves the fingerprint of the data unchanged', () => {
    const made = (...settings: string[]) =>
      JSON.stringify(datasetSettings({ recipe: recipeOf('model=m', 'data.train=a.jsonl', ...settings) }, undefined));
    expect(made('data.trained_roles=[assistant]')).toBe(made());
    expect(made('data.trained_roles=[user]', 'data.completion_only=false')).toBe(made('data.completion_only=false'));
    expect(made('data.trained_roles=[user]')).toContain('"trainedRoles":["user"]');
  });

  it('a format without turns is refused with the line', () => {
    const place = { file: 'a.jsonl', line: 7 };
    const value = { prompt: 'Hi', completion: 'Hello!' };
    expect(() => formatExample({ ...place, value }, { ...CHAT_FORMAT, format: 'prompt_completion', ...roles('user') })).toThrow(
      /^a\.jsonl:7: a sample of the format 'prompt_completion' has no turns, of which data\.trained_roles \(user\) could choose/,
    );
  });
});
