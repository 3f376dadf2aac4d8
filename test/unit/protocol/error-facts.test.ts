/** Tests the message and code of thrown values, whether or not they are errors. */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { codeOf, messageOf } from '../../../trainer/protocol/error-facts.ts';

test('an error has its message, any other value its text', () => {
  expect(messageOf(new TypeError('it is not a number'))).toBe('it is not a number');
  expect(messageOf('plain text')).toBe('plain text');
  expect(messageOf(undefined)).toBe('undefined');
});

test('only text counts as a code', async () => {
  expect(codeOf(await readFile('/no/such/file').catch((error: unknown) => error))).toBe('ENOENT');
  for (const value of [new Error('without'), { code: 5 }, null, 'ENOENT']) expect(codeOf(value)).toBeUndefined();
});
