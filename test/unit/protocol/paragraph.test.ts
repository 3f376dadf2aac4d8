/** Tests how messages of several lines become paragraphs. */
import { expect, test } from 'vitest';
import { ModelFileError } from '../../../trainer/format/model-file-error.ts';
import { asParagraph } from '../../../trainer/protocol/text/paragraph.ts';

const damaged = (count: number): string => {
  const problems = Array.from({ length: count }, (_, i) => ({ tensor: `w${i}`, message: `lies at byte ${i}` }));
  return new ModelFileError('model.safetensors', problems, 'Download it again.').message;
};

test.each([
  ['one line', 'one line'],
  ['  two\n lines', 'two lines'],
  ['none can be read:\n  a is short\n  b is long', 'none can be read: a is short; b is long'],
  ['these differ:\n  a\n  b\n  c', 'these differ: a, and 2 more'],
  ['these differ:\n  a\n  b\n  and 1,200 more\nTrain again', 'these differ: a, and 1201 more. Train again'],
  [damaged(1), 'model.safetensors: tensor "w0": lies at byte 0. Download it again.'],
  [damaged(2), 'model.safetensors: tensor "w0": lies at byte 0; tensor "w1": lies at byte 1. Download it again.'],
  [damaged(3), 'model.safetensors: tensor "w0": lies at byte 0, and 2 more. Download it again.'],
  [damaged(5000), 'model.safetensors: tensor "w0": lies at byte 0, and 4999 more. Download it again.'],
])('%j', (message, paragraph) => expect(asParagraph(message)).toBe(paragraph));
