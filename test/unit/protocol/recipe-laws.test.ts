/** Tests laws that hold for every recipe, every setting and every rule. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { foreignKeys, foreignValues } from '../../../trainer/protocol/recipe/foreign-keys.ts';
import { MAX_RECIPE_CHARACTERS } from '../../../trainer/protocol/recipe/located.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { givenBy, groups, type Recipe, recipeJsonSchema, settings, settingValue } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { recipeRules } from '../../../trainer/protocol/recipe/rules/recipe-rules.ts';
import { stringifyRecipe } from '../../../trainer/protocol/recipe/stringify-recipe.ts';
import { recipeIn } from '../../support/runs/recipe-of.ts';

const FULL = `# comment
model: HuggingFaceTB/SmolLM2-135M-Instruct
name: "two words"
method: spsft
ratio: 0.05
target_modules: [q_proj, "/mlp\\\\..*/"]
freeze: [attention]
data:
  train: [a.jsonl, 'b c.csv']
  format: text_label
  columns: {text: body, label: kind}
  labels: ["no", "null", "1e5", ham]
  prompt: |
    Spam: "or" ham?
      {text}
val_size: 0.2
learning_rate: 3.0e-7
min_learning_rate: 1.0e-9
lr_scheduler_type: cosine
warmup_ratio: 0.03
importance: {measure: taylor, exact: true, batch_size: 2}
eval_strategy: steps
eval_steps: 7
load_best_model_at_end: true
`;
const TEXTS = [
  FULL,
  'model: m\ndata: {train: a}\n',
  'model: m\nmethod: lora\ndata: {train: a, eval: b}\n',
  '{"model": "m", "method": "full", "data": {"train": "a"}}',
  'model: m\ndata: {train: a}\nval_size: 5\n',
];

const recipeWith = (text: string, overrides: readonly string[] = []): Recipe => recipeIn(text, { overrides });

describe('settings', () => {
  test.each(Object.entries(settings))('%s is documented in one sentence that ends with a period', (_, { doc, memory = 'None.' }) => {
    expect(doc).toMatch(/^[A-Z].*\.$/);
    expect(memory).toMatch(/^\S.*\.$/);
  });
  test('every choice has a sentence', () => {
    for (const { type } of Object.values(settings))
      for (const doc of Object.values(type.choices ?? {})) expect(doc).toMatch(/^[A-Z0-9].*\.$/);
  });
  test('every default passes its own check', () => {
    const given: Record<string, unknown> = {};
    for (const [path, { type, resolveDefault }] of Object.entries(settings)) {
      const value = resolveDefault(given);
      if (value === undefined) continue;
      given[path] = value;
      expect(type.check(value), path).toEqual({ ok: true, value });
    }
  });
  test('defaults follow the method, the task and the batch', () => {
    expect(recipeWith('model: m')).toMatchObject({
      method: 'spsft',
      trains: 'columns',
      r: 32,
      learning_rate: 2e-3,
      eval_strategy: 'no',
      save_strategy: 'epoch',
      per_device_eval_batch_size: 4,
    });
    expect(recipeWith('model: m\nmethod: lora\nper_device_train_batch_size: 3')).toMatchObject({
      r: 16,
      learning_rate: 2e-4,
      per_device_eval_batch_size: 3,
      importance: { batch_size: 3 },
    });
    const headed = ['spsft', 'lora', 'full'].map(method => recipeWith(`model: m\ntask: image_classification\nmethod: ${method}`));
    expect(headed.map(({ learning_rate: rate }) => rate)).toEqual([3e-3, 2e-3, 2e-5]);
    expect(recipeWith('model: m\nratio: 0.1').r).toBeUndefined();
    expect(recipeWith('model: m\nmethod: full').r).toBeUndefined();
    expect(recipeWith('model: m\ndata: {train: a, eval: b}').eval_strategy).toBe('epoch');
    // Without data, a measure of inputs cannot be computed.
    const measureOf = (text: string) => recipeWith(`model: m\n${text}`).importance.measure;
    expect(['trains: rows', 'trains: rows\ndata: {train: a}'].map(measureOf)).toEqual(['magnitude', 'wanda']);
    expect(['trains: columns', 'trains: coupled\ndata: {train: a}', 'method: spsft+lora'].map(measureOf)).toEqual([
      'random',
      'random',
      'magnitude',
    ]);
    expect(recipeWith('model: m\nval_size: 9\neval_strategy: steps\neval_steps: 30')).toMatchObject({
      save_strategy: 'steps',
      save_steps: 30,
    });
  });

  test.each([
    ['', 'columns'],
    ['task: distillation\ndistillation: {teacher: t}', 'columns'],
    ['importance: {samples: 8, selection: per_layer, heads: false}\ndependencies: false', 'columns'],
    // Compared answers, and models with a new head.
    ['task: dpo', 'rows'],
    ['task: sequence_classification', 'rows'],
    // Stated below the setting, and above it.
    ['importance: {measure: wanda}', 'rows'],
    ['importance: {measure: random}', 'rows'],
    ['importance: {scores: s.safetensors}', 'rows'],
    ['importance: {selection: global}', 'rows'],
    ['importance: {heads: true}', 'rows'],
    ['importance: {choose_again_after: 5}', 'rows'],
    ['dependencies: true', 'rows'],
    ['method: spsft+lora', 'rows'],
  ])('what is trained of %j: %s', (more, unit) => {
    const { trains, learning_rate: rate } = recipeWith(`model: m\ndata: {train: a}\n${more}`);
    expect(trains).toBe(unit);
    if (unit === 'columns') expect(rate).toBe(2e-3);
  });

  test.each(['', 'task: dpo', 'method: lora', 'importance: {measure: random}'])(
    'defaults of %j are those of the filled recipe too',
    more => {
      const text = `model: m\ndata: {train: a}\n${more}`;
      const filled = recipeWith(text);
      const given = givenBy(filled);
      for (const [path, { resolveDefault, presence }] of Object.entries(settings))
        if (presence === 'defaulted' && !text.includes(path.split('.').at(-1) ?? ''))
          expect(resolveDefault(given), path).toEqual(settingValue(filled, path));
    },
  );
});

describe('foreign names', () => {
  test('lead to settings, and are no settings themselves', () => {
    for (const [name, { to, note }] of Object.entries(foreignKeys)) {
      expect(Object.hasOwn(settings, name) || Object.hasOwn(groups, name), name).toBe(false);
      expect(to !== undefined || note !== undefined, name).toBe(true);
      if (to !== undefined) expect(settings, name).toHaveProperty([to]);
    }
  });
  test('of values lead to choices, and are no choices themselves', () => {
    for (const [path, words] of Object.entries(foreignValues)) {
      const choices = Object.keys(settings[path]?.type.choices ?? {});
      for (const [word, { to }] of Object.entries(words)) {
        expect(choices, `${path}: ${word}`).not.toContain(word);
        if (to !== undefined) expect(choices, `${path}: ${word}`).toContain(to);
      }
    }
  });
});

test.each([
  ['classification', /write sequence_classification for one label per text, .*token_classification for labels of words/],
  ['text_classification', /did you mean 'sequence_classification'\?/],
  ['regression', /did you mean 'sequence_regression'\?/],
  ['rlhf', /write dpo, orpo or simpo for pairs .*kto .*reward/],
])('a task by another name, %s, is answered with the fitting ones', (task, message) => {
  const { problems } = parseRecipe(`model: m\ndata: {train: a}\ntask: ${task}\n`);
  expect(problems).toMatchObject([{ code: 'not-a-choice', message: expect.stringMatching(message) }]);
});

describe('parse and stringify', () => {
  test.each(TEXTS)('a resolved recipe reads back to itself, without new warnings: %#', text => {
    const recipe = recipeWith(text);
    for (const comments of [false, true]) {
      const written = stringifyRecipe(recipe, { comments });
      expect(recipeWith(written)).toEqual(recipe);
      expect(stringifyRecipe(recipeWith(written), { comments })).toBe(written);
      expect(parseRecipe(written).problems.map(({ code }) => code)).toEqual(parseRecipe(text).problems.map(({ code }) => code));
    }
  });
  test('numbers and words are written so that YAML 1.1 reads the same', () => {
    const written = stringifyRecipe(recipeWith(FULL));
    expect(written).toContain('learning_rate: 3.0e-7\n');
    expect(written).toContain('labels: ["no", "null", "1e5", ham]\n');
    expect(stringifyRecipe(recipeWith('model: m'))).toContain('eval_strategy: "no"\n');
  });
  test('the JSON Schema accepts what the parser accepts', () => {
    const schema = z.fromJSONSchema({ ...recipeJsonSchema() });
    for (const text of TEXTS) {
      const { resolved } = parseRecipe(text);
      expect(schema.safeParse(resolved).error).toBeUndefined();
    }
    for (const wrong of [
      {},
      { model: 'm', lr: 1 },
      { model: 'm', r: 0 },
      { model: 'm', data: { trian: 'x' } },
      { model: 'm', method: 'sft' },
      { model: 'm', learning_rate: 0 },
    ]) {
      expect(schema.safeParse(wrong).success, JSON.stringify(wrong)).toBe(false);
    }
  });
  test('every prefix of a text, and every text with one line gone, parses without throwing', () => {
    for (let end = 0; end <= FULL.length; end++) expect(parseRecipe(FULL.slice(0, end)).resolved).toBeTypeOf('object');
    const lines = FULL.split('\n');
    for (const gone of lines.keys())
      expect(parseRecipe(lines.filter((_, index) => index !== gone).join('\n')).resolved).toBeTypeOf('object');
  });
  test('an override gives what the file would have given', () => {
    for (const [key, value] of [
      ['seed', '7'],
      ['data.format', 'alpaca'],
      ['freeze', '[mlp, head]'],
      ['learning_rate', '1e-4'],
      ['importance.exact', 'true'],
      ['output_dir', 'x'],
    ] as const) {
      const [group, name] = key.split('.');
      const line = name === undefined ? `${key}: ${value}` : `${group}: {${name}: ${value}}`;
      expect(recipeWith('model: m', [`${key}=${value}`])).toEqual(recipeWith(`model: m\n${line}`));
    }
  });
  test('an empty override restores the default', () => {
    expect(recipeWith('model: m\nr: 5\ndata: {max_samples: 4}', ['r=', 'data.max_samples=null'])).toEqual(recipeWith('model: m'));
  });
  test('a byte order mark and Windows line ends change nothing', () => {
    expect(recipeWith(`\uFEFF${FULL.replaceAll('\n', '\r\n')}`)).toEqual(recipeWith(FULL));
  });
  test('a key like __proto__ is an unknown key and nothing else', () => {
    const { problems, resolved } = parseRecipe('model: m\n__proto__: {polluted: true}\nconstructor: 1\n', {
      overrides: ['__proto__.polluted=1', 'toString=2'],
    });
    expect(problems.filter(({ code }) => code === 'unknown-key').map(({ path }) => path.join('.'))).toEqual(
      expect.arrayContaining(['constructor', '__proto__', 'toString']),
    );
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
    expect('polluted' in resolved).toBe(false);
  });
});

describe('hostile text is bounded', () => {
  const codes = (text: string): string[] => parseRecipe(text).problems.map(({ code }) => code);
  test('size', () => expect(codes('a'.repeat(MAX_RECIPE_CHARACTERS + 1))).toContain('too-large'));
  test.each(['[', '{a: ', '- ', '? ', 'a:\n '])('nesting of %j', piece => {
    expect(parseRecipe(piece.repeat(20_000)).recipe).toBeUndefined();
  });
  test('aliases of aliases', () => {
    const bomb = Array.from(
      { length: 30 },
      (_, level) =>
        `b${level}: &b${level} [${Array(8)
          .fill(level === 0 ? 'x' : `*b${level - 1}`)
          .join(', ')}]`,
    );
    expect(codes(bomb.join('\n'))).toContain('too-large');
  });
  test('an alias of itself', () => expect(codes('model: m\ndata: &a {train: *a}\n').length).toBeGreaterThan(0));
  test('many keys', () => expect(codes(Array.from({ length: 5000 }, (_, index) => `k${index}: 1`).join('\n')).length).toBe(501));
});

describe('rules', () => {
  test('are documented, with distinct codes but for the generated ones', () => {
    for (const { doc } of recipeRules) expect(doc).toMatch(/^\S.*\.$/);
    const codes = recipeRules.map(({ code }) => code).filter(code => code !== 'ignored-key');
    expect(new Set(codes).size).toBe(codes.length);
  });
  test.each(recipeRules.filter(({ code }) => code !== 'ignored-key'))(
    '$code looks only at the settings that it says it reads',
    ({ check, reads }) => {
      const touched = new Set<string>();
      const watch = <T extends object>(target: T, prefix: string): T =>
        new Proxy(target, {
          get(object, name, receiver) {
            const path = prefix + String(name);
            if (Object.hasOwn(settings, path)) touched.add(path);
            const value: unknown = Reflect.get(object, name, receiver);
            return Object.hasOwn(groups, path) && value !== null && typeof value === 'object' ? watch(value, `${path}.`) : value;
          },
        });
      for (const text of TEXTS) check(watch(recipeWith(text), ''), path => Boolean(touched.add(path)));
      expect([...reads]).toEqual(expect.arrayContaining([...touched]));
    },
  );
});
