/** Tests start values taken from a bfloat16 weight: from its bits and from its values. */
import { expect, test } from 'vitest';
import { fromBfloat16, toBfloat16 } from '../../../trainer/graph/types.ts';
import type { MethodSettings } from '../../../trainer/method/method.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { placeTrained } from '../../../trainer/method/placement.ts';
import type { Precision } from '../../../trainer/model/weight-storage.ts';
import { required } from '../../../trainer/narrow.ts';
import { scattered, settingsOf } from '../../support/models/method-settings.ts';
import { openTiny } from '../../support/runs/tiny-training.ts';

const tiny = await openTiny('llama');

test.each<{ what: string; changes: Partial<MethodSettings>; precision: Precision; method?: 'full' | 'spsft' }>([
  { what: 'rows', changes: {}, precision: { dtype: 'bfloat16', quantize: 'none' } },
  { what: 'rows next to a quantized weight', changes: {}, precision: { dtype: 'bfloat16', quantize: 'int8' } },
  { what: 'columns', changes: { trains: 'columns' }, precision: { dtype: 'bfloat16', quantize: 'none' } },
  { what: 'elements', changes: { dependencies: true }, precision: { dtype: 'bfloat16', quantize: 'none' } },
  { what: 'whole weights', changes: {}, precision: { dtype: 'bfloat16', quantize: 'none' }, method: 'full' },
])('$what', async ({ changes, precision, method = 'spsft' }) => {
  const settings = settingsOf(changes);
  const attachment = placeTrained(
    methods[method].attach(tiny.model, settings, scattered(tiny.model, method, settings)),
    tiny.model,
    precision,
  );
  const derived = required(attachment.derived, 'what is derived of weights');
  let found = 0;
  for (const { name, shape } of tiny.model.parameters) {
    if (shape.length !== 2) continue;
    const bits = toBfloat16(await tiny.weights.readFloat32(name));
    const weight = {
      name,
      bits,
      get data(): Float32Array {
        throw new Error('all of the weight became numbers');
      },
    };
    const picked = [...derived(weight)];
    expect(picked).toEqual([...derived({ name, data: fromBfloat16(bits) })]);
    found += picked.length;
  }
  expect(found).toBeGreaterThan(5);
});
