/**
 * Tests the price of a plan whose programs were compiled before: it uses the numbers of the device's compiler once that has counted all of
 * them.
 */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { locatePjrt } from '../../../../trainer/engine/install/pjrt-folder.ts';
import { knownPrograms } from '../../../../trainer/engine/known-programs.ts';
import type { CompiledMemory } from '../../../../trainer/engine/pjrt/compiled-memory.ts';
import { openPjrt, type PjrtEngine } from '../../../../trainer/engine/pjrt/engine.ts';
import { required } from '../../../../trainer/narrow.ts';
import { headersOf } from '../../../../trainer/plan/config-headers.ts';
import { planMark } from '../../../../trainer/plan/memory/counted-passes.ts';
import { priceRun } from '../../../../trainer/plan/memory/predict.ts';
import { planRun } from '../../../../trainer/plan/run-plan.ts';
import { trainSignature } from '../../../../trainer/train/train-passes.ts';
import { evalSignature } from '../../../../trainer/train/train-program.ts';
import { cacheDir } from '../../../support/cache-dir.ts';
import { describeWith } from '../../../support/describe-with.ts';
import { readRecord } from '../../../support/files/read-json.ts';
import { recipeIn } from '../../../support/runs/recipe-of.ts';

const engine = locatePjrt(cacheDir) ? await openPjrt({ cacheDir }) : undefined;
const known = knownPrograms('pjrt', cacheDir);
const GOLDEN = join(import.meta.dirname, '../../../golden');
const LEVEL = 'cheap';

/** The plan of a tiny model's run. No test runs it with 13 tokens. */
const planOf = (tokens: 16 | 13) =>
  planRun({
    recipe: recipeIn(
      `model: base\ndata: {train: [train.jsonl]}\nr: 2\nmax_length: ${tokens}\nper_device_train_batch_size: 2\nengine: pjrt\n`,
    ),
    headers: headersOf(readRecord(join(GOLDEN, 'llama', 'config.json'))),
    on: { engine: 'pjrt', device: 'cpu' },
    recompute: LEVEL,
  });

describeWith('programs that were compiled before', engine, 'run rowtune engine install --variant pjrt-cpu', (pjrt: PjrtEngine) => {
  it('are priced as their compiler has counted them', async () => {
    const plan = planOf(16);
    const session = await pjrt.compile(plan.program(LEVEL));
    const names = [...plan.trainShapes.map(trainSignature), ...plan.evalShapes.map(evalSignature)];
    const counts: CompiledMemory[] = [];
    for (const name of names) counts.push(await session.compiledMemory(name));
    await session.dispose();
    expect(priceRun(plan, { known: { ...required(known, 'the programs'), mayHave: () => false } }).source).toBe('model');
    await known?.note(planMark(plan, LEVEL));
    const [byModel, byCompiler] = [priceRun(plan), priceRun(plan, { known })];
    expect([byModel.source, byCompiler.source]).toEqual(['model', 'compiler']);
    expect(byCompiler.levels).toMatchObject([{ recompute: LEVEL, source: 'compiler' }]);
    const { weightsBytes, trainedBytes, optimizerBytes } = byModel;
    expect(byCompiler).toMatchObject({ weightsBytes, trainedBytes, optimizerBytes });
    // A training step uses every variable, so its memory beyond them is feeds, temporaries and outputs.
    const [training] = counts;
    const held = weightsBytes + trainedBytes + optimizerBytes;
    const { arguments: given, outputs, aliased, temporaries, code } = required(training, 'the training step');
    expect(byCompiler.buckets[0]?.training[0]?.activationBytes).toBe(given - held + outputs - aliased + temporaries + code);
    expect(byCompiler.activationBytes).toBeGreaterThanOrEqual(given - held + temporaries);
    expect(byCompiler.totalBytes).not.toBe(byModel.totalBytes);
  });

  it('count only where all of a plan were compiled', () => {
    expect(priceRun(planOf(13), { known }).source).toBe('model');
    let asked = 0;
    const onlyFirst = { workingBytes: () => (asked++ === 0 ? 1 : undefined), mayHave: () => true, note: async () => undefined };
    const byModel = priceRun(planOf(16));
    expect(priceRun(planOf(16), { known: onlyFirst })).toEqual(byModel);
  });
});
