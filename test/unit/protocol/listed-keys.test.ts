/** Tests how messages list columns: a file with many names the first ones and says how many there are. */
import { expect, test } from 'vitest';
import { listedKeys } from '../../../trainer/protocol/text/listed-keys.ts';

test('the columns of a wide file are counted, not dropped', () => {
  expect(listedKeys(['text', 'label'])).toBe('"text", "label"');
  const many = listedKeys(Array.from({ length: 40 }, (_, i) => `c${i}`));
  expect(many).toMatch(/^"c0", .*"c19" and 20 more$/);
});
