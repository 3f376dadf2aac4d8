/** Tests that recipes with a sweep section are recognized without parsing. */
import { expect, test } from 'vitest';
import { hasSweepSection } from '../../../../client/recipe/recipe-names.ts';

test.each([
  ['model: m\nsweep:\n  over: {r: [1, 2]}\n', true],
  ['model: m\r\nsweep : {over: {r: [1, 2]}}\r\n', true],
  ['{"model": "m",\n "sweep": {"over": {"r": [1, 2]}}}', true],
  ['model: m\n# sweep: later\n', false],
  ['model: sweep\nname: my-sweep\n', false],
  ['', false],
])('%j has a sweep section: %s', (text, has) => expect(hasSweepSection(text)).toBe(has));
