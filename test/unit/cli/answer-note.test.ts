/** Tests what the command line says of an answer that is cut or empty. */
import { expect, test } from 'vitest';
import { answerNote } from '../../../trainer/cli/show/answer-note.ts';
import type { GenerateResult } from '../../../trainer/handlers/generate-result.ts';

const answer = (changes: Partial<GenerateResult>): GenerateResult => ({
  text: 'ho',
  ids: [1, 2],
  promptTokens: 1,
  engine: 'none',
  chat: false,
  asTrained: false,
  finishReason: 'end',
  promptSeconds: 0,
  tokensPerSecond: 0,
  ...changes,
});

test.each<[string, Partial<GenerateResult>, RegExp | undefined]>([
  ['a whole answer', {}, undefined],
  ['an answer that ends at a text', { finishReason: 'stop_text' }, undefined],
  ['a cut answer', { finishReason: 'max_new_tokens' }, /^The answer is cut at 2 tokens\. .*raise --max-new-tokens\.$/],
  ['an answer of one token', { finishReason: 'max_new_tokens', ids: [1] }, /cut at 1 token\./],
  ['an answer that fills the model', { finishReason: 'max_positions' }, /^The answer is cut: prompt and answer/],
  ['no answer', { ids: [] }, /ended its answer at once/],
  ['labels', { ids: [], labels: [] }, undefined],
])('%s', (_, changes, expected) => {
  const note = answerNote(answer(changes));
  if (expected === undefined) expect(note).toBeUndefined();
  else expect(note).toMatch(expected);
});
