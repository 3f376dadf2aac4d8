/** Tests the recipe that the wizard writes: valid for every answer, short, and each setting with a sentence. */
import { describe, expect, test } from 'vitest';
import { isRecipeName, recipeStem, scoresFile } from '../../../client/recipe/recipe-names.ts';
import { methodNames } from '../../../trainer/catalog/methods.ts';
import { objectiveNames } from '../../../trainer/catalog/objectives.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { settings } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { choicesOf, freeName, recipeFileName, recipeText, taskOfConfig } from '../../../trainer/protocol/recipe/recipe-text.ts';

const answers = { name: 'mine', model: 'model', task: 'causal_lm', method: 'spsft', train: 'data/train.jsonl' } as const;

/** Returns the comment that ends above a line, without its line breaks. */
function sentenceAbove(lines: readonly string[], end: number): string {
  const start = lines.findLastIndex((line, i) => i < end && !line.startsWith('#')) + 1;
  return lines
    .slice(start, end)
    .map(line => line.slice(2))
    .join(' ');
}

describe('the recipe', () => {
  const every = objectiveNames.flatMap(task => methodNames.map(method => [task, method] as const));

  test('the wizard offers all tasks and methods', () => {
    expect(choicesOf('task').map(({ word }) => word)).toEqual(objectiveNames);
    expect(choicesOf('method').map(({ word }) => word)).toEqual(methodNames);
  });

  test.each(every)('of %s by %s parses without a problem', (task, method) => {
    const text = recipeText({ ...answers, task, method });
    const { recipe, problems } = parseRecipe(text, { fileName: 'mine.rowtune.yaml' });
    expect(problems).toEqual([]);
    expect(recipe).toMatchObject({ name: 'mine', model: 'model', task, method, val_size: 0.1, data: { train: ['data/train.jsonl'] } });
  });

  test('has the sentence of each setting above it', () => {
    const lines = recipeText(answers).split('\n');
    const keys = lines.flatMap((line, i) => (/^[a-z_]+: \S/.test(line) ? [[line.split(':')[0] ?? '', sentenceAbove(lines, i)]] : []));
    expect(keys.length).toBeGreaterThan(10);
    for (const [key = '', above] of keys) expect(above, key).toBe(settings[key]?.doc);
    expect(Math.max(...lines.map(line => line.length))).toBeLessThanOrEqual(100);
  });

  test('has only the settings that its method uses', () => {
    const own = recipeText(answers);
    const lora = recipeText({ ...answers, method: 'lora' });
    expect([own.includes('importance:'), own.includes('lora_alpha:')]).toEqual([true, false]);
    expect([lora.includes('importance:'), lora.includes('lora_alpha:')]).toEqual([false, true]);
    expect([own.includes('beta:'), recipeText({ ...answers, task: 'simpo' }).includes('  beta: 2')]).toEqual([false, true]);
  });

  test('has a comment on the data file that does not exist yet', () => {
    const text = recipeText({ ...answers, train: undefined });
    expect(text).toContain('# This data file does not exist yet');
    expect(parseRecipe(text).recipe?.data.train).toEqual(['data/train.jsonl']);
  });

  test('fits the positions and the task of the model', () => {
    expect(parseRecipe(recipeText({ ...answers, maxPositions: 128, r: 4 })).recipe).toMatchObject({ max_length: 128, r: 4 });
    expect(taskOfConfig({ architectures: ['LlamaForCausalLM'] })).toBe('causal_lm');
    expect(taskOfConfig({ architectures: ['ViTForImageClassification'] })).toBe('image_classification');
    for (const config of [undefined, null, 3, {}, { architectures: 'x' }]) expect(taskOfConfig(config)).toBeUndefined();
  });

  test('names held-out data, and then holds out none of the training data', () => {
    const text = recipeText({ ...answers, evaluation: 'data/val.jsonl' });
    const { recipe, problems } = parseRecipe(text);
    expect(problems).toEqual([]);
    expect(recipe).toMatchObject({ val_size: 0, data: { train: ['data/train.jsonl'], eval: ['data/val.jsonl'] } });
    expect(text).not.toContain('val_size');
  });

  test('takes a path with anything in it', () => {
    const model = 'a "b": #c/übung';
    expect(parseRecipe(recipeText({ ...answers, model })).recipe?.model).toBe(model);
  });
});

describe('names', () => {
  test.each([
    ['HuggingFaceTB/SmolLM2-135M-Instruct', 'smollm2-135m-instruct-spsft'],
    ['/models/My Model (v2)/', 'my-model-v2-spsft'],
    ['models/llama.gguf', 'llama-spsft'],
    ['...', 'model-spsft'],
  ])('a run of %s is %s', (model, name) => {
    expect(freeName(model, 'spsft', new Set())).toBe(name);
    expect(parseRecipe(recipeText({ ...answers, name })).recipe?.name).toBe(name);
  });

  test('are not used twice', () => {
    expect(freeName('a', 'lora', new Set(['a-lora', 'a-lora-2']))).toBe('a-lora-3');
  });

  test('recipes are recognized by their ending', () => {
    expect(['a.rowtune.yaml', 'a.rowtune.yml', 'a.ROWTUNE.json', 'a.yaml', 'rowtune.yaml'].map(isRecipeName)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    expect(isRecipeName(recipeFileName('x'))).toBe(true);
    expect(recipeStem('/w/spam.rowtune.yaml')).toBe('spam');
    expect(scoresFile('/w/spam.rowtune.yaml', '/w')).toBe('/w/spam.scores.safetensors');
  });
});
