/** Tests token counts: few requests, and each text only once. */
import { expect, test } from 'vitest';
import { TokenCounter } from '../../../client/agent/token-counter.ts';

function setUp() {
  const requests: (readonly string[])[] = [];
  const counter = new TokenCounter(async texts => {
    requests.push([...texts]);
    if (texts.includes('bad')) throw new Error('no tokenizer');
    return texts.map(text => text.length);
  });
  return { requests, counter };
}

test('counts of several texts share a request, and known texts need none', async () => {
  const { requests, counter } = setUp();
  expect(await Promise.all(['a', 'bb', 'a', 'ccc'].map(text => counter.count(text)))).toEqual([1, 2, 1, 3]);
  expect(await counter.count('bb')).toBe(2);
  expect(requests).toEqual([['a', 'bb', 'ccc']]);
});

test('a text that arrives during a request goes into the next one', async () => {
  const { requests, counter } = setUp();
  const first = counter.count('a').then(() => counter.count('bb'));
  expect(await first).toBe(2);
  expect(requests).toEqual([['a'], ['bb']]);
});

test('a text of a failed request is counted again', async () => {
  const { requests, counter } = setUp();
  await expect(Promise.all([counter.count('bad'), counter.count('a')])).rejects.toThrow('no tokenizer');
  expect(await counter.count('a')).toBe(1);
  expect(requests).toHaveLength(2);
});
