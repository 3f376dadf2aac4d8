/** Tests the note about a new head, which is true whether the head is trained, evaluated or shown. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { loadModel } from '../../../trainer/model/load-model.ts';
import type { Problem } from '../../../trainer/model/model-spec.ts';
import { logNewHead } from '../../../trainer/objective/new-head.ts';

test('a new head is named with the tensors that the base model lacks', () => {
  const config = readFileSync(path.join(import.meta.dirname, '../../golden/bert/config.json'), 'utf8');
  const said: string[] = [];
  const noteOf = (labels: readonly string[], problem: Problem): void => {
    const model = loadModel(JSON.parse(config), { labels, problem, headSeed: 1 });
    if (model.kind !== 'classifier') throw new Error('not a classifier');
    logNewHead({ log: (_, message) => said.push(message) }, model);
  };
  noteOf(['ham', 'spam', 'both', 'none'], 'single_label');
  noteOf(['only'], 'regression');
  expect(said).toEqual([
    'the head of 4 outputs is new: the base model lacks classifier.weight and classifier.bias',
    'the head of one output is new: the base model lacks classifier.weight and classifier.bias',
  ]);
});
