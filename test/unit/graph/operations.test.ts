/** Tests every operation of the graph: compares it with a naive formula and between engines, and its gradient with finite differences. */
import { describe, expect, it } from 'vitest';
import { namesOf } from '../../../trainer/catalog/entries.ts';
import { opTable } from '../../../trainer/graph/op-table.ts';
import { openAllOthers, openReference } from '../../support/engines.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { compareCase, ENGINE_TOLERANCE } from '../../support/numbers/compare-case.ts';
import { finiteDifferences } from '../../support/numbers/finite-differences.ts';
import { allCases, casesOf, caseTable } from '../../support/numbers/operation-table.ts';
import { forwardProgram, numbersOf, runCase, runGradients } from '../../support/numbers/run-case.ts';

/** Central differences in float32 with a step of 4e-3: truncation and rounding are about 1e-4 each for these functions. */
const DIFFERENCE_TOLERANCE = 2e-3;

const reference = await openReference();
const others = await openAllOthers();

describe('the table of cases', () => {
  it('names every operation once', () => expect(Object.keys(caseTable).sort()).toEqual(Object.keys(opTable).sort()));

  it.each(Object.entries(caseTable))('has a case that runs %s', (op, tests) => {
    const ran = tests.flatMap(test => forwardProgram(test).signatures.run?.schedule.map(node => node.op) ?? []);
    expect(ran).toContain(op);
  });

  it.each(namesOf(opTable).filter(op => opTable[op].gradient))('has a case for the gradient of %s', op =>
    expect(caseTable[op].some(test => test.gradients)).toBe(true),
  );
});

describe('on the plain cpu backend, against a naive formula', () => {
  for (const { test } of allCases.filter(({ test }) => test.expected || test.expectedVariables))
    it(test.title, async () => {
      const { y, variables } = await runCase(reference, test);
      const numbers = numbersOf(test);
      if (test.expected) expectClose(y, test.expected(numbers), test.tolerance ?? ENGINE_TOLERANCE);
      for (const [name, expected] of Object.entries(test.expectedVariables?.(numbers) ?? {}))
        expectClose(variables[name] ?? [], expected, test.tolerance ?? ENGINE_TOLERANCE, name);
    });
});

describe('gradients on the plain cpu backend', () => {
  for (const { test } of allCases.filter(({ test }) => test.gradients))
    it(`${test.title}: against finite differences`, async () => {
      const names = Object.keys(test.gradients ?? {});
      const gradients = await runGradients(reference, test, names, false);
      for (const name of names) {
        const slopes = await finiteDifferences(reference, test, name);
        expectClose(
          gradients[name] ?? [],
          pickRows(slopes, test.feeds?.[name]?.shape[0] ?? 1, test.gradients?.[name]?.rows),
          DIFFERENCE_TOLERANCE,
          name,
        );
      }
    });

  for (const { test } of allCases.filter(({ test }) => test.expectedGradients))
    it(`${test.title}: against the closed form`, async () => {
      const expected = test.expectedGradients ?? {};
      const gradients = await runGradients(reference, test, Object.keys(expected), true);
      for (const [name, values] of Object.entries(expected)) expectClose(gradients[name] ?? [], values, 1e-6, name);
    });
});

for (const { name, engine, missing } of others)
  describe.skipIf(!engine)(`${name} against the plain cpu backend${missing ? ` (skipped: ${missing})` : ''}`, () => {
    for (const { test } of engine ? casesOf(engine.description.name) : allCases)
      it(test.title, async () => {
        if (engine) expect(await compareCase(engine, reference, test)).toEqual([]);
      });
  });

function pickRows(values: readonly number[], rowCount: number, rows: readonly number[] | undefined): readonly number[] {
  const width = values.length / rowCount;
  return rows ? rows.flatMap(row => values.slice(row * width, (row + 1) * width)) : values;
}
