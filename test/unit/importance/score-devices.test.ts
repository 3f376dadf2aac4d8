/** Tests passes over the data that are divided among several devices of one process: every measure has the scores of one device. */
import { afterAll, expect, test } from 'vitest';
import { namesWhere } from '../../../trainer/catalog/entries.ts';
import { type MeasureName, measureCatalog, movesWeights, needsData } from '../../../trainer/catalog/measures.ts';
import { locatePjrt, pjrtAddonIsCurrent } from '../../../trainer/engine/install/pjrt-folder.ts';
import { openPjrt } from '../../../trainer/engine/pjrt/engine.ts';
import { type ImportanceData, scoreModel } from '../../../trainer/importance/score-model.ts';
import { valueFor } from '../../../trainer/narrow.ts';
import { cacheDir } from '../../support/cache-dir.ts';
import { describeWith } from '../../support/describe-with.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { dataOn, model, modules, samples, weights } from './toy-task.ts';

const DEVICES = 4;
const found = locatePjrt(cacheDir);
const engine = found && pjrtAddonIsCurrent(found.folder) ? await openPjrt({ cacheDir, devices: DEVICES }) : undefined;
afterAll(() => engine?.device.addon.closeClient(engine.device.client));

const names = ['a', 'b', 'c'];
const counts = names.map((_, label) => samples.filter(sample => sample.label === label).length);
const classes = { names, counts, of: (sample: number) => samples[sample]?.label ?? -1 };

const measured: readonly MeasureName[] = namesWhere(measureCatalog, () => true).filter(name => needsData(name) && !movesWeights(name));

describeWith('importance on several devices', engine, 'run rowtune engine install --variant pjrt-cpu', pjrt => {
  const scoresOf = (measure: MeasureName, change: Partial<ImportanceData>, isCanceled?: () => boolean) =>
    scoreModel({ measure, model, modules, weights, seed: 0, data: dataOn(pjrt, 2, { classes, ...change }), isCanceled });

  // Five samples in batches of 2: the last round of two devices has one batch, and that of four devices has three.
  test.each(measured.flatMap(measure => [false, true].map(exact => [measure, exact ? 'exact' : 'by batches', exact] as const)))(
    '%s, %s',
    async (measure, _, exact) => {
      const alone = await scoresOf(measure, { exact });
      for (const devices of [2, DEVICES]) {
        const shared = await scoresOf(measure, { exact, devices });
        for (const { name } of modules) {
          const expected = [...valueFor(alone.scores, name)];
          expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(0);
          expectClose([...valueFor(shared.scores, name)], expected, 2e-6, `${name} on ${devices} devices`);
        }
        expect(shared.classes?.names).toEqual(alone.classes?.names);
      }
    },
  );

  test('a request to stop ends the pass', async () => {
    let asked = 0;
    await expect(scoresOf('wanda', { devices: 2 }, () => ++asked > 1)).rejects.toThrow(/canceled/);
  });
});
