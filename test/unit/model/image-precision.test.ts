/** Tests image models in bfloat16, including convolutions: compares logits and gradients with float32. */
import { describe, expect, test } from 'vitest';
import { untouched } from '../../../trainer/adapter/apply-adapter.ts';
import { fromBfloat16, type HostArray } from '../../../trainer/graph/types.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { placeTrained } from '../../../trainer/method/placement.ts';
import { openFast, openOthers } from '../../support/engines.ts';
import { computeGolden, openGoldenClassifier } from '../../support/golden/golden-classifier.ts';
import { settingsOf } from '../../support/models/method-settings.ts';

const bfloat16 = { dtype: 'bfloat16', quantize: 'none' } as const;
const others = (await openOthers()).filter(({ name }) => name === 'tensorflow');
const engines = [
  { name: 'portable, wasm', engine: await openFast() },
  ...others.map(({ name, engine, missing }) => ({ name: missing === undefined ? name : `${name} (skipped: ${missing})`, engine })),
];

const wide = (values: HostArray | undefined): Float32Array =>
  values instanceof Uint16Array ? fromBfloat16(values) : Float32Array.from(values ?? []);
const norm = (values: Iterable<number>): number => Math.hypot(...values);
const apart = (a: HostArray | undefined, b: HostArray | undefined): number => {
  const [one, other] = [wide(a), wide(b)];
  return norm(one.map((value, i) => value - (other[i] as number))) / norm(other);
};

describe.each(engines)('$name', ({ engine }) => {
  // Eight bits per value; toward the first layer, each rounding may flip a ReLU or the choice of a maximum.
  test.skipIf(!engine).each(['resnet', 'resnet_basic', 'timm_resnext', 'vit'])('%s', async family => {
    if (!engine) return;
    const golden = await openGoldenClassifier(family);
    const filters = golden.model.parameters.filter(({ shape }) => shape.length === 4);
    expect(filters.length).toBeGreaterThan(0);
    const [plain, narrow] = await Promise.all([
      computeGolden(golden, { engine, attachment: untouched, wrt: filters.map(spec => ({ ...spec, dtype: 'float32' })) }),
      computeGolden(golden, {
        engine,
        attachment: placeTrained(untouched, golden.model, bfloat16),
        wrt: filters.map(spec => ({ ...spec, dtype: 'bfloat16' })),
      }),
    ]);
    for (const [name, values] of Object.entries(plain)) {
      const error = apart(narrow[name], values);
      expect(error, name).toBeGreaterThan(0);
      expect(error, name).toBeLessThan(name === 'logits' ? 0.02 : 0.25);
    }
  });

  test.skipIf(!engine).each(['lora', 'dora'] as const)('%s in a network of convolutions begins as the model does', async method => {
    if (!engine) return;
    const golden = await openGoldenClassifier('timm_resnext');
    const settings = settingsOf({ targetModules: ['conv1', 'conv2', 'conv3'] });
    const attached = placeTrained(methods[method].attach(golden.model, settings, new Map()), golden.model, bfloat16);
    const [base, tuned] = await Promise.all(
      [placeTrained(untouched, golden.model, bfloat16), attached].map(attachment => computeGolden(golden, { engine, attachment })),
    );
    expect(apart(tuned?.logits, base?.logits)).toBeLessThan(0.02);
  });
});
