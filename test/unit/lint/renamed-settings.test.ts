/** Tests renamed settings: the message gives the new name, and fixing all problems writes it. */
import { expect, test } from 'vitest';
import { fixDocument } from '../../../trainer/lint/lint.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';

test('quantise is renamed to quantize, and the comment stays', () => {
  const text = 'model: m\nmethod: lora\nr: 8\nquantise: 4bit # half a byte\n';
  const messages = parseRecipe(text).problems.map(({ message }) => message);
  expect(messages).toContain("'quantise' is called 'quantize' here");
  expect(fixDocument({ text, file: 'a.rowtune.yaml' })).toBe('model: m\nmethod: lora\nr: 8\nquantize: nf4 # half a byte\n');
});
