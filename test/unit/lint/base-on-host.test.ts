/** Tests a run that does not fit: whether it would with its base in host memory, in the message, in a fix, and in the hover. */
import { rmSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { memoryText } from '../../../server/memory-text.ts';
import { quickFixes } from '../../../trainer/lint/quick-fixes.ts';
import type { RecipeView } from '../../../trainer/lint/recipe-view.ts';
import { required } from '../../../trainer/narrow.ts';
import { applyChange } from '../../support/apply-change.ts';
import { makeWorkspace, problemsOf, viewOf } from './check-view.ts';

const folder = makeWorkspace();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const CODE = 'memory-above-free';
const text = 'model: models/tiny # small\nr: 8\nbase_offload: none\nmax_length: 32\ndata:\n  train: spam.jsonl\n';
const baseOnHost = {
  runBytes: 5e9,
  offloadedBytes: 14e9,
  recompute: 'block',
  overrides: ['engine=pjrt', 'base_offload=host', 'recompute=block'],
} as const;

/** Returns the view for a card with this much memory, which the run does not fit. */
async function viewWith(availableBytes: number): Promise<RecipeView> {
  const view = await viewOf(text, { folder, card: 'rtx-3060' });
  return { ...view, availableBytes, estimate: { ...required(view.estimate, 'the estimate'), runBytes: 19e9, baseOnHost } };
}

const problemIn = (view: RecipeView) =>
  required(
    problemsOf(view).find(({ code }) => code === CODE),
    'the problem',
  );

test('a run that fits with base_offload gets this advice, with a fix', async () => {
  const view = await viewWith(8e9);
  const problem = problemIn(view);
  expect(problem.message).toMatch(
    /; with engine: pjrt, base_offload: host and recompute: block it needs about 5\.0 GB and fits, with 14\.0 GB in host memory$/,
  );
  const fixes = quickFixes({ text, file: view.file, view }, [problem]);
  const fix = required(
    fixes.find(({ title }) => title.startsWith('Keep the weights')),
    'the fix',
  );
  expect(applyChange(text, fix.change)).toBe(
    'model: models/tiny # small\nr: 8\nbase_offload: host\nmax_length: 32\ndata:\n  train: spam.jsonl\nengine: pjrt\nrecompute: block\n',
  );
  expect(fixes.filter(({ preferred }) => preferred)).toHaveLength(1);
  expect(memoryText(view, 'base_offload')).toContain(
    'With engine=pjrt base_offload=host recompute=block, the run would take 5.0 GB, plus 14.0 GB stored elsewhere.',
  );
});

test('a teacher that does not fit is named in the message', async () => {
  const view = await viewWith(8e9);
  const estimate = { ...required(view.estimate, 'the estimate'), teacherBytes: 19e9 };
  expect(problemIn({ ...view, estimate }).message).toMatch(
    /^the teacher needs about 19\.0 GB before training, .* and fits, with 14\.0 GB in host memory$/,
  );
});

test('a run that does not fit even with base_offload gets no such fix', async () => {
  const view = await viewWith(4e9);
  const problem = problemIn(view);
  expect(problem.message).toMatch(/it still needs about 5\.0 GB$/);
  expect(
    quickFixes({ text, file: view.file, view }, [problem])
      .map(({ title }) => title)
      .join(),
  ).not.toContain('Keep the weights');
});
