/**
 * The law of cards: the smallest training step of each family, compiled for cards that are not there, updates every variable where it lies and
 * leaves nothing on the host. Its temporaries are within 10% of what an estimate says. A step takes five seconds of a processor or more to compile:
 * each family is compiled for one generation in its turn, and one family for all of them.
 * `ROWTUNE_TEST_CARDS=all` compiles all families for all generations, which takes half an hour.
 */
import { expect, it } from 'vitest';
import { modeledTemporaries } from '../../bench/memory/cards.ts';
import { cardOfEachGeneration } from '../../trainer/catalog/cards.ts';
import { compileTraining } from '../../trainer/handlers/card-memory.ts';
import { describeWith } from '../support/describe-with.ts';
import { COMPILE_MS, cardPlan, compilerHere, families, MOST_MISSED, noCompiler } from '../support/golden/card-steps.ts';

const EVERYWHERE = 'llama';
const cases = families().flatMap(({ folder, config }, i) =>
  cardOfEachGeneration
    .filter((_, k) => process.env.ROWTUNE_TEST_CARDS === 'all' || folder === EVERYWHERE || k === i % cardOfEachGeneration.length)
    .flatMap(card => [
      [folder, card, config, 'trains: rows'] as const,
      // The default of language models.
      ...(folder === EVERYWHERE ? [[folder, card, config, 'trains: columns'] as const] : []),
    ]),
);

describeWith('a step compiled for a card', compilerHere, noCompiler, compiler => {
  it.each(cases)(
    'of %s for %s updates every variable in place, on the card alone, in the memory that an estimate says',
    async (folder, card, config, unit) => {
      const plan = cardPlan(config, `${unit}\nr: 2\n`, { card });
      const found = await compileTraining(plan, 'cheap', card, compiler);
      expect(found.aliased).toBe(found.changedBytes);
      expect(found.host).toBe(0);
      expect(found.hostOperations).toEqual([]);
      expect(found.temporaries).toBeGreaterThan(0);
      const error = modeledTemporaries(plan, 'cheap') / found.temporaries - 1;
      expect(Math.abs(error)).toBeLessThanOrEqual(MOST_MISSED);
      expect(found.totalBytes).toBe(found.arguments + found.outputs - found.aliased + found.temporaries + found.code);
    },
    COMPILE_MS,
  );
});
