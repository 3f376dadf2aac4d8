/** The checked-in header of the native kernel lists what `row-program.ts` lists. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nativeHeader } from '../../../trainer/graph/fusion/native-header.ts';

const FILE = join(import.meta.dirname, '../../../trainer/engine/tensorflow/native/fused/row-program-format.h');

test('opcodes, kinds, types and limits are the same in TypeScript and C++', () => {
  const text = nativeHeader();
  if (process.env.UPDATE_FIXTURES) writeFileSync(FILE, text);
  expect(readFileSync(FILE, 'utf8')).toBe(text);
  expect(text).toContain('kSigmoidGrad');
  expect(text).toContain('constexpr int32_t kMostLeadAxes = 12;');
});
