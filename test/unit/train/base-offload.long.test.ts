/**
 * Tests that base weights in host memory give the same numbers as weights on the device, bit for bit, on the plugin for processors. In
 * float32, they are equal only up to rounding if blocks are not recomputed, because barriers change what XLA fuses, and if columns are
 * trained, because XLA reads them from W inside their update, or finds them separately.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { MethodName } from '../../../trainer/catalog/methods.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import type { RecomputePolicy } from '../../../trainer/graph/recompute.ts';
import type { Attachment, MethodSettings } from '../../../trainer/method/method.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { placeTrained } from '../../../trainer/method/placement.ts';
import { withStarts } from '../../../trainer/method/start-copies.ts';
import { FLOAT32, type Precision } from '../../../trainer/model/weight-storage.ts';
import { baseSignature, KEEP_START, SWAP_START } from '../../../trainer/train/base-pass.ts';
import { describeWith } from '../../support/describe-with.ts';
import { casesOn, engineNamed, openAllOthers } from '../../support/engines.ts';
import { scattered, settingsOf } from '../../support/models/method-settings.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { floatsOf } from '../../support/numbers/outputs.ts';
import { recipeIn } from '../../support/runs/recipe-of.ts';
import { runInProcess, stopAfter } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';
import { adamw, feedsOf, openTiny, type TinyRunParams, wholeShape, withTinyRun } from '../../support/runs/tiny-training.ts';

const { engine: pjrt, missing } = engineNamed(await openAllOthers(), 'pjrt');
const tiny = await openTiny('llama');

const attach = (method: MethodName, precision: Precision, hostFrom?: number, changes: Partial<MethodSettings> = {}): Attachment => {
  const settings = settingsOf(changes);
  return placeTrained(
    methods[method].attach(tiny.model, settings, scattered(tiny.model, method, settings)),
    tiny.model,
    precision,
    hostFrom,
  );
};

/** Maximum difference of losses near 5 after some updates. */
const ROUNDING = 1e-5;

interface Case {
  readonly method: MethodName;
  readonly precision: Precision;
  readonly recompute: RecomputePolicy;
  readonly changes?: Partial<TinyRunParams>;
  readonly settings?: Partial<MethodSettings>;
}

const isSameToTheBit = ({ precision, recompute, settings }: Case): boolean =>
  precision !== FLOAT32 || (recompute !== 'none' && settings?.trains !== 'columns');

const bfloat16: Precision = { dtype: 'bfloat16', quantize: 'none' };
const cases: readonly Case[] = [
  { method: 'spsft', precision: bfloat16, recompute: 'block' },
  { method: 'spsft', precision: FLOAT32, recompute: 'none', changes: { maxGradNorm: 0.5 } },
  {
    method: 'spsft',
    precision: bfloat16,
    recompute: 'block',
    changes: { optimizer: { ...adamw, offload: { to: 'host', fromGpu: false, from: 1 } } },
  },
  { method: 'lora', precision: bfloat16, recompute: 'block' },
  { method: 'lora', precision: FLOAT32, recompute: 'sqrt' },
  { method: 'spsft', precision: { dtype: 'bfloat16', quantize: 'nf4' }, recompute: 'cheap' },
  { method: 'lora', precision: { dtype: 'float32', quantize: 'int8' }, recompute: 'block' },
  { method: 'spsft', precision: bfloat16, recompute: 'block', settings: { trains: 'columns' } },
  { method: 'spsft', precision: FLOAT32, recompute: 'block', settings: { trains: 'columns' } },
  { method: 'spsft', precision: bfloat16, recompute: 'none', settings: { trains: 'columns' } },
  { method: 'spsft', precision: bfloat16, recompute: 'block', settings: { trains: 'coupled' } },
  { method: 'spsft', precision: bfloat16, recompute: 'block', settings: { dependencies: true } },
  { method: 'rosa', precision: FLOAT32, recompute: 'block' },
  { method: 'shira', precision: bfloat16, recompute: 'cheap' },
];
const kindOf = ({ settings }: Case): string => (settings === undefined ? '' : ` of ${settings.trains ?? 'rows with dependencies'}`);
const named = cases.map(one => ({
  ...one,
  name: `${one.method}${kindOf(one)}, ${one.precision.dtype}, ${one.precision.quantize}, ${one.recompute}${one.changes?.optimizer ? ', state on the host' : ''}`,
}));

/** Runs three updates, an evaluation, a snapshot, and one more update; then restores the snapshot and repeats the last update. */
async function traceOn(engine: Engine, { method, precision, recompute, changes, settings }: Case, hostFrom?: number) {
  const attachment = attach(method, precision, hostFrom, settings);
  return withTinyRun({ engine, tiny, attachment, recompute, ...changes }, async run => {
    const losses = await run.steps(3);
    const at = await run.snapshot();
    losses.push(await run.evaluate(), ...(await run.steps(1)));
    const last = await run.snapshot();
    await run.restore(at, 3);
    losses.push(...(await run.steps(1)));
    expect(await run.snapshot()).toEqual(last);
    return { losses, last };
  });
}

describe('the weights of a block', () => {
  const matrices = tiny.model.modules.filter(({ kind, layer }) => kind === 'linear' && layer >= 0);

  test('that are frozen are on the host, except embeddings, norms and the head', () => {
    const { hosted } = attach('lora', FLOAT32, 1);
    expect([...(hosted?.keys() ?? [])].sort()).toEqual(matrices.map(({ weight }) => weight.name).sort());
    expect(new Set(hosted?.values())).toEqual(new Set(['host']));
    expect(attach('lora', FLOAT32).hosted).toBeUndefined();
  });

  test.each([
    { method: 'spsft', of: 'rows', settings: {} },
    { method: 'spsft', of: 'columns', settings: { trains: 'columns' } },
    { method: 'rosa', of: 'elements', settings: {} },
  ] as const)('of which $of are trained ($method) are there without those', ({ method, of, settings }) => {
    const { hosted, trainables } = attach(method, FLOAT32, 1, settings);
    const parts = trainables.filter(({ variable }) => matrices.some(({ weight }) => weight.name === variable.name));
    expect(parts.length).toBe(matrices.length);
    for (const { variable, [of]: chosen, master } of parts)
      expect(hosted?.get(variable.name)).toEqual({ of, chosen: chosen?.variable, values: master });
  });

  test('that are trained as a whole stay on the device', () => {
    const { hosted } = attach('full', FLOAT32, 1);
    expect(hosted).toEqual(new Map());
  });
});

describeWith('weights in the memory of the host next to a device of PJRT', pjrt, missing, engine => {
  const onDevice = new Map<string, ReturnType<typeof traceOn>>();
  /** Returns the trace with weights and state on the device, once for all cases that differ in nothing else. */
  const traceHere = ({ changes: { optimizer: _, ...changes } = {}, ...one }: Case): ReturnType<typeof traceOn> => {
    const key = JSON.stringify({ ...one, changes });
    const found = onDevice.get(key) ?? traceOn(engine, { ...one, changes });
    onDevice.set(key, found);
    return found;
  };

  test.each(casesOn('pjrt', named, ({ recompute }) => recompute === 'block'))('$name: the same', async ({ name: _, ...one }) => {
    const [there, here] = [await traceOn(engine, one, 1), await traceHere(one)];
    if (isSameToTheBit(one)) expect(there).toEqual(here);
    else expectClose(there.losses, here.losses, ROUNDING);
  });
});

describeWith('the base in the memory of the host', pjrt, missing, engine =>
  test('is read there while a part of its weights is trained, which needs no copies of what that began with', async () => {
    const read = async (hostFrom?: number) => {
      const attachment = withStarts(attach('spsft', bfloat16, hostFrom, { trains: 'columns' }), tiny.model);
      const swaps = (attachment.starts ?? []).length > 0;
      expect(swaps).toBe(hostFrom === undefined);
      return withTinyRun({ engine, tiny, attachment, recompute: 'block' }, async run => {
        const base = async () =>
          floatsOf(await run.session.run(baseSignature(wholeShape), feedsOf(tiny.model.vocabularySize)), 'nll').slice();
        if (swaps) await run.session.run(KEEP_START, {});
        const losses = await run.steps(2);
        if (swaps) await run.session.run(SWAP_START, {});
        const found = await base();
        if (swaps) await run.session.run(SWAP_START, {});
        return { found, losses: [...losses, ...(await run.steps(1))], tuned: await run.evaluate() };
      });
    };
    expect(await read(1)).toEqual(await read());
  }),
);

describeWith('a run', pjrt, missing, () => {
  const task = makeTinyTask({ lengths: 'one' });
  afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
  const recipe = (...overrides: string[]) =>
    recipeIn(task.text, {
      overrides: ['engine=pjrt', 'dtype=float32', 'recompute=block', 'max_steps=3', 'save_strategy="no"', ...overrides],
    });
  const { context } = task;

  test('scores its rows and trains with weights on the host, and may change that when it continues', async () => {
    const whole = await runInProcess({ kind: 'train', recipe: recipe(), runDir: join(task.folder, 'whole'), context });
    const runDir = join(task.folder, 'parts');
    const first = await runInProcess({ kind: 'train', recipe: recipe('base_offload=host'), runDir, context }, stopAfter(2));
    const second = await runInProcess({ kind: 'resume', runDir, overrides: ['base_offload=none'], context });
    expect([...first.losses, ...second.losses]).toEqual([...whole.losses]);
    expect(first.events).toContainEqual(
      expect.objectContaining({ type: 'log', message: expect.stringMatching(/base_offload: host saves no memory without a GPU/) }),
    );
  });
});
