/**
 * Tests that the checked-in header of the native kernel (opcodes, kinds, element types and limits by name) matches `row-program.ts`, from
 * which it is generated.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  ELEMENT_TYPES,
  INSTRUCTION_NAMES,
  INSTRUCTIONS,
  REGISTER_KINDS,
  ROW_PROGRAM_LIMITS,
  ROW_REDUCTIONS,
} from '../../../trainer/graph/fusion/row-program.ts';

const FILE = join(import.meta.dirname, '../../../trainer/engine/tensorflow/native/fused/row-program-format.h');

test('opcodes, kinds, types and limits are the same in TypeScript and C++', () => {
  const text = nativeHeader();
  if (process.env.UPDATE_FIXTURES) writeFileSync(FILE, text);
  expect(readFileSync(FILE, 'utf8')).toBe(text);
  expect(text).toContain('kSigmoidGrad');
  expect(text).toContain('constexpr int32_t kMaxLeadAxes = 12;');
});

/** Returns the text of `engine/tensorflow/native/fused/row-program-format.h`. */
function nativeHeader(): string {
  const limits = Object.entries(ROW_PROGRAM_LIMITS).map(
    ([name, value]) => `constexpr int32_t ${constant(`max ${spaced(name)}`)} = ${value};`,
  );
  const info = INSTRUCTION_NAMES.map(name => `    {${INSTRUCTIONS[name]}, ${ROW_REDUCTIONS.has(name)}},  // ${name}`);
  return [
    '// Generated from trainer/graph/fusion/row-program.ts; do not edit. To regenerate it:',
    '// UPDATE_FIXTURES=1 npx vitest run test/unit/graph/native-header.test.ts',
    '#pragma once',
    '#include <cstdint>',
    '',
    enumeration('Code', INSTRUCTION_NAMES),
    enumeration('Kind', REGISTER_KINDS),
    enumeration('Type', ELEMENT_TYPES),
    '',
    `constexpr int32_t kCodes = ${INSTRUCTION_NAMES.length}, kKinds = ${REGISTER_KINDS.length}, kTypes = ${ELEMENT_TYPES.length};`,
    ...limits,
    '',
    '// The number of operands, and whether a whole row becomes one number.',
    'struct CodeInfo {',
    '  int32_t operands;',
    '  bool reduces;',
    '};',
    'constexpr CodeInfo kCodeInfo[kCodes] = {',
    ...info,
    '};',
    '',
  ].join('\n');
}

const enumeration = (name: string, members: readonly string[]): string =>
  `enum class ${name} : int32_t { ${members.map(constant).join(', ')} };`;

/** Returns `kSigmoidGrad` for `sigmoidGrad`. */
const constant = (name: string): string =>
  `k${name
    .split(' ')
    .map(word => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)
    .join('')}`;

const spaced = (name: string): string => name.replace(/[A-Z]/g, letter => ` ${letter.toLowerCase()}`);
