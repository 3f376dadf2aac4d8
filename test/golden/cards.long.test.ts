/**
 * The law of cards: the smallest training step of each family, compiled for a card of each generation that is not there, updates every variable
 * where it lies and leaves nothing on the host.
 */
import { expect, it } from 'vitest';
import { cardOfEachGeneration } from '../../trainer/catalog/cards.ts';
import { compileTraining } from '../../trainer/handlers/card-memory.ts';
import { describeWith } from '../support/describe-with.ts';
import { COMPILE_MS, cardPlan, compilerHere, families, noCompiler } from '../support/golden/card-steps.ts';

const cases = families().flatMap(family => cardOfEachGeneration.map(card => [family.folder, card, family.config] as const));

describeWith('a step compiled for a card', compilerHere, noCompiler, compiler => {
  it.each(cases)(
    'of %s for %s updates every variable in place, on the card alone',
    async (_, card, config) => {
      const found = await compileTraining(cardPlan(config), 'cheap', card, compiler);
      expect(found.aliased).toBe(found.changedBytes);
      expect(found.host).toBe(0);
      expect(found.hostOperations).toEqual([]);
      expect(found.temporaries).toBeGreaterThan(0);
      expect(found.totalBytes).toBe(found.arguments + found.outputs - found.aliased + found.temporaries + found.code);
    },
    COMPILE_MS,
  );
});
