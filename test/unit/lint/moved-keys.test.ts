/** Tests that a key that moves to its group keeps its text, or stays. */
import { expect, test } from 'vitest';
import { fixAll } from '../../../trainer/lint/quick-fixes.ts';

test.each([
  ['an alias in place of the group', 'model: m\nimportance: &i {samples: 8}\ndata: *i\ndataset: spam.jsonl\n'],
  ['a value in place of the group', 'model: m\ndata: spam.jsonl\nmask_prompt: true\n'],
  ['an anchor that an alias needs', 'model: m\ndata: {train: a.jsonl, val_size: &v 0.1}\nwarmup_ratio: *v\n'],
])('%s: the text stays', (_, text) => expect(fixAll({ text, file: 'a.rowtune.yaml' })).toBeUndefined());
