/** Tests which token pads the end of a row. */
import { expect, test } from 'vitest';
import { padIdOf } from '../../../trainer/job/pad-id.ts';

type Base = Parameters<typeof padIdOf>[0];

const base = (tokenizer: Partial<Base['tokenizer']>, vocabularySize = 100): Base => ({
  tokenizer: { eosIds: [], padId: undefined, ...tokenizer },
  model: { vocabularySize },
});

test.each([
  ['the pad token', base({ padId: 7, eosIds: [2] }), 7],
  ['without one the end of a text', base({ eosIds: [2, 3] }), 2],
  ['without either any token', base({}), 0],
  ['never a token that the model does not have', base({ padId: 100, eosIds: [2] }), 0],
])('%s', (_, given, id) => expect(padIdOf(given)).toBe(id));
