/** Tests comments that ignore a warning: the fix that writes one, and the fix that deletes one without effect. */
import { rmSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { type QuickFix, quickFixes } from '../../../trainer/lint/quick-fixes.ts';
import { required } from '../../../trainer/narrow.ts';
import { applyChange } from '../../support/apply-change.ts';
import { makeWorkspace, problemsOf, viewOf } from './check-view.ts';

const folder = makeWorkspace();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const head = 'model: models/tiny # small\nr: 8\nmax_length: 32\n';
const data = 'data:\n  train: spam.jsonl # mails\n';

async function fixesOf(text: string): Promise<readonly QuickFix[]> {
  const view = await viewOf(text, { folder });
  return quickFixes({ text, file: view.file, view }, problemsOf(view));
}

const applied = (text: string, fix: QuickFix | undefined): string => applyChange(text, required(fix, 'a fix').change);

it('a fix writes a comment below the fix of the problem, and another deletes it', async () => {
  const text = `${head}learning_rate: 1e-4\n${data}`;
  const fixes = await fixesOf(text);
  expect(fixes.map(({ title, preferred }) => [title, preferred])).toEqual([
    ['Replace with 1.0e-4', true],
    ["Ignore 'number-format' here, with a reason", false],
  ]);
  const ignored = applied(text, fixes[1]);
  expect(ignored).toBe(`${head}# rowtune-ignore number-format: say why\nlearning_rate: 1e-4\n${data}`);
  expect(problemsOf(await viewOf(ignored, { folder }))).toEqual([]);
  const plain = `${head}learning_rate: 1.0e-4\n${data}`;
  for (const unused of [ignored.replace('1e-4', '1.0e-4'), plain.replace('1.0e-4', '1.0e-4 # rowtune-ignore number-format: why')])
    expect(applied(unused, (await fixesOf(unused))[0])).toBe(plain);
});
