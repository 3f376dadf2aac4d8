/** Tests the tools whose recipes are converted: one list, which the documentation follows. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type RecipeToolName, recipeToolCatalog, recipeToolLabels, recipeToolNames } from '../../../trainer/catalog/recipe-tools.ts';
import { convertRecipe } from '../../../trainer/lint/convert-recipe.ts';

/** Two keys that identify a recipe of each tool. */
const RECIPES: Readonly<Record<RecipeToolName, string>> = {
  torchtune: 'model: {_component_: a.llama3_8b}\ncheckpointer: {checkpoint_dir: m}\n',
  axolotl: 'base_model: m\nmicro_batch_size: 2\n',
  llamaFactory: 'model_name_or_path: m\nstage: sft\nfinetuning_type: lora\n',
  trl: 'model_name_or_path: m\ndataset_name: d\nuse_peft: true\n',
  unsloth: 'model: m\ntraining: {training_type: lora, max_seq_length: 32}\nlora: {lora_r: 8}\ndata: {dataset: d}\n',
  mlxLm: 'model: m\niters: 10\nval_batches: 1\n',
};

test.each(recipeToolNames)('%s is converted under its label', name =>
  expect(convertRecipe(RECIPES[name], false)?.tool).toBe(recipeToolCatalog[name].label),
);

describe.each(['docs/how-to/convert-a-recipe.md', 'CHANGELOG.md'])('%s', page => {
  const text = readFileSync(path.join(import.meta.dirname, '../../..', page), 'utf8');
  test.each(recipeToolLabels)('names %s', label => expect(text).toContain(label));
});

describe('columns of Axolotl', () => {
  test.each<[string, string, string[]]>([
    [
      'a custom prompt',
      '{path: a.jsonl, type: {field_instruction: question, field_output: answer, field_input: input, format: "Q: {instruction}"}}',
      ['format: alpaca', 'instruction: question', 'output: answer', 'Q: {instruction}'],
    ],
    ['documents', '{path: a.jsonl, type: completion, field: body}', ['format: text', 'text: body']],
    [
      'turns of ShareGPT',
      '{path: a.jsonl, type: chat_template, field_messages: turns, message_property_mappings: {role: from, content: value}}',
      ['format: sharegpt', 'conversations: turns'],
    ],
    ['turns', '{path: a.jsonl, type: chat_template, field_messages: messages}', ['format: messages']],
  ])('%s', (_, dataset, expected) => {
    const { text = '' } = convertRecipe(`base_model: m\nmicro_batch_size: 2\ndatasets:\n  - ${dataset}\n`, false) ?? {};
    for (const line of expected) expect(text).toContain(line);
    expect(text).not.toContain('field_');
    expect(text).not.toContain('input: input');
  });

  test('differ between data sets', () => {
    const sets = '[{path: a.jsonl, type: completion, field: body}, {path: b.jsonl, type: completion}]';
    const { text = '' } = convertRecipe(`base_model: m\nmicro_batch_size: 2\ndatasets: ${sets}\n`, false) ?? {};
    expect(text).toContain('the data sets name different columns');
    expect(text).not.toContain('  columns:');
  });
});

describe('keys within a section that have no counterpart are listed', () => {
  test.each([
    ['model: m\ntraining: {training_type: lora, max_seq_length: 32}\nlora: {r: 16, lora_alpha: 8}\n', ['r: 16'], ['lora_alpha', 'max_seq']],
    [
      'base_model: m\nmicro_batch_size: 2\ndatasets:\n  - {path: a.jsonl, type: alpaca, split: "train[:1%]", shards: 7}\n',
      ['split: train[:1%]', 'shards: 7'],
      ['path:', 'type:'],
    ],
    [
      'model: {_component_: a.llama3_8b}\ncheckpointer: {checkpoint_dir: m}\noptimizer: {_component_: torch.optim.AdamW, lr: 1e-4, betas: [0.8, 0.9]}\n',
      ['betas:'],
      ['_component_', 'lr:'],
    ],
  ])('%s', (text, lost, kept) => {
    const [, notes = ''] = (convertRecipe(text, false)?.text ?? '').split('without a counterpart:');
    for (const line of lost) expect(notes).toContain(line);
    for (const line of kept) expect(notes).not.toContain(line);
  });
});
