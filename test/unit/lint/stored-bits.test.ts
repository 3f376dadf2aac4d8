/** Tests the hint about layers that are stored in few bits: what it says, and its fix. */
import { rmSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { quickFixes } from '../../../trainer/lint/quick-fixes.ts';
import { applyChange } from '../../support/apply-change.ts';
import { makeWorkspace, problemsOf, viewOf } from './check-view.ts';

const folder = makeWorkspace();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  ['gptq', 'nf4', /in 4 bits, but training holds them in 32 bits: about 123 kB, and 15\.8 kB with quantize: nf4/],
  ['fp8', 'int8', /in 8 bits, but training holds them in 32 bits: about \d+ kB, and \d+(\.\d)? kB with quantize: int8/],
])('the layers of %s can be held in %s', async (model, quantize, message) => {
  const text = `model: models/${model}\nr: 8 # rows\ndata:\n  train: spam.jsonl\n`;
  const view = await viewOf(text, { folder, name: 'a.rowtune.yaml', availableBytes: 64e9 });
  const problems = problemsOf(view).filter(({ code }) => code === 'stored-in-fewer-bits');
  expect(problems.map(problem => problem.message)).toEqual([expect.stringMatching(message)]);
  const [fix] = quickFixes({ text, file: view.file, view }, problems);
  expect(fix && applyChange(text, fix.change)).toBe(`${text}quantize: ${quantize}\n`);
});
