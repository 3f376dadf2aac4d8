/** Reading the base in the middle of training: it gives the same bits as before, and training continues as if it had not been read. */
import { describe, expect, test } from 'vitest';
import { type MethodName, methodCatalog, methodNames } from '../../../trainer/catalog/methods.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import type { HostArray } from '../../../trainer/graph/types.ts';
import { type Attachment, type MethodSettings, trainableCount } from '../../../trainer/method/method.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { placeTrained } from '../../../trainer/method/placement.ts';
import { withStarts } from '../../../trainer/method/start-copies.ts';
import { FLOAT32, type Precision } from '../../../trainer/model/weight-storage.ts';
import { required } from '../../../trainer/narrow.ts';
import { baseSignature, KEEP_START, SWAP_START } from '../../../trainer/train/base-pass.ts';
import { evalSignature } from '../../../trainer/train/train-program.ts';
import { casesOn, describeOn, openAllOthers } from '../../support/engines.ts';
import { scattered, settingsOf } from '../../support/models/method-settings.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { floatsOf } from '../../support/numbers/outputs.ts';
import { feedsOf, openTiny, type TinyRun, wholeShape, withTinyRun } from '../../support/runs/tiny-training.ts';

const tiny = await openTiny('llama_biased');
const feeds = feedsOf(tiny.model.vocabularySize);

interface Variant {
  readonly title: string;
  readonly method: MethodName;
  readonly settings?: Partial<MethodSettings>;
  readonly precision?: Precision;
  /** True for the few cases for an engine that compiles slowly. */
  readonly isFew?: true;
}

const inBfloat16: Precision = { dtype: 'bfloat16', quantize: 'none' };
const ofMethods = methodNames.filter(method => methodCatalog[method].noLiveReference === undefined);
const variants: readonly Variant[] = [
  ...ofMethods.map(method => ({ title: method, method, ...(method === 'spsft' && { isFew: true as const }) })),
  {
    title: 'rows and their columns',
    method: 'spsft',
    settings: { dependencies: true, targetModules: ['gate_proj', 'up_proj', 'down_proj'] },
  },
  { title: 'rows of the embedding', method: 'spsft', settings: { targetModules: ['embed_tokens'] } },
  { title: 'rows in bfloat16', method: 'spsft', precision: inBfloat16 },
  { title: 'elements in bfloat16', method: 'rosa', precision: inBfloat16 },
  { title: 'rows of weights in 8 bits', method: 'spsft', precision: { dtype: 'float32', quantize: 'int8' } },
  { title: 'lora with a saved head', method: 'lora', settings: { modulesToSave: ['head'] }, isFew: true },
];

function attach({ method, settings: changes, precision = FLOAT32 }: Variant): Attachment {
  const settings = settingsOf(changes);
  const attached = methods[method].attach(tiny.model, settings, scattered(tiny.model, method, settings));
  return withStarts(placeTrained(attached, tiny.model, precision), tiny.model);
}

const read = async (run: TinyRun): Promise<Float32Array> =>
  floatsOf(await run.session.run(baseSignature(wholeShape), feeds), 'nll').slice();

async function readBase(run: TinyRun, { starts = [] }: Attachment): Promise<Float32Array> {
  if (starts.length > 0) await run.session.run(SWAP_START, {});
  const found = await read(run);
  if (starts.length > 0) await run.session.run(SWAP_START, {});
  return found;
}

async function expectUntouched(engine: Engine, attachment: Attachment): Promise<void> {
  const plain = await withTinyRun({ engine, tiny, attachment }, async run => [await run.steps(4), await run.snapshot()] as const);
  await withTinyRun({ engine, tiny, attachment }, async run => {
    if (required(attachment.starts, 'copies').length > 0) await run.session.run(KEEP_START, {});
    const before = await read(run);
    const losses = await run.steps(2);
    const during = floatsOf(await run.session.run(evalSignature(wholeShape), feeds), 'nll').slice();
    expect(await readBase(run, attachment)).toEqual(before);
    expect(during).not.toEqual(before);
    losses.push(...(await run.steps(2)));
    expect(losses).toEqual(plain[0]);
    const snapshot: ReadonlyMap<string, HostArray> = await run.snapshot();
    expect(snapshot).toEqual(plain[1]);
    expect(await readBase(run, attachment)).toEqual(before);
  });
}

describeOn(await openAllOthers(), (engine, name) => {
  test.each(casesOn(name, variants, ({ isFew }) => isFew === true))('$title', variant => expectUntouched(engine, attach(variant)));
});

describe('the copies', () => {
  const own = new Set(tiny.model.parameters.map(spec => spec.name));
  test.each(variants)('$title: as many numbers as are trained inside the weights', variant => {
    const { starts = [], trainables, frozen = [] } = attach(variant);
    const inside = trainables.filter(trainable => own.has(trainable.name));
    const copied = starts.map(({ copy }) => copy.shape.reduce((n, d) => n * d, 1)).reduce((sum, n) => sum + n, 0);
    expect(copied).toBe(trainableCount({ method: variant.method, trainables: inside, initial: () => [] }));
    expect(frozen).toEqual(expect.arrayContaining(starts.map(({ copy }) => copy)));
    if (methodCatalog[variant.method].chooses !== 'nothing') expect(copied).toBeGreaterThan(0);
  });
});

test('the base is the model before training', async () => {
  const { engine } = required((await openAllOthers())[0], 'the portable engine');
  const attachment = attach({ title: '', method: 'spsft+lora' });
  const params = { engine: required(engine, 'the portable engine'), tiny };
  const untouched: Attachment = { method: 'full', trainables: [], initial: () => [] };
  const expected = await withTinyRun({ ...params, attachment: untouched }, async run =>
    floatsOf(await run.session.run(evalSignature(wholeShape), feeds), 'nll').slice(),
  );
  await withTinyRun({ ...params, attachment }, async run => {
    await run.session.run(KEEP_START, {});
    await run.steps(3);
    expectClose([...(await readBase(run, attachment))], [...expected], 1e-6);
  });
});
