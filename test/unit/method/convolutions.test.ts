/**
 * Tests LoRA and DoRA of plain and grouped convolutions: the merged layer equals the attached one, and gradients follow from the weight's
 * own.
 */

import { expect, test } from 'vitest';
import { applyAdapter, untouched } from '../../../trainer/adapter/apply-adapter.ts';
import { mergedWeights } from '../../../trainer/adapter/merge.ts';
import { readAdapter } from '../../../trainer/adapter/read-adapter.ts';
import { elementCount } from '../../../trainer/graph/types.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { atLeast, elementAt, required, valueFor } from '../../../trainer/narrow.ts';
import { describeOn, openOthers } from '../../support/engines.ts';
import { computeGolden, openGoldenClassifier } from '../../support/golden/golden-classifier.ts';
import { settingsOf } from '../../support/models/method-settings.ts';
import { goldenFolder, tinyClassifierAdapter } from '../../support/models/tiny-classifier-adapter.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { floatsOf } from '../../support/numbers/outputs.ts';

const RANK = 3;
const SCALE = 8 / RANK;
const family = 'timm_resnext';
const golden = await openGoldenClassifier(family);
const conv = required(
  golden.model.modules.find(({ name }) => name === 'layer2.0.conv2'),
  'a convolution',
);
/** Computes dA, dB and dm of one row-major weight from dW of the merged one; the norms are constants. */
function naive(dW: Float32Array, w: Float32Array, a: Float32Array, b: Float32Array, m?: Float32Array) {
  const [out, width] = [b.length / RANK, a.length / RANK];
  const [dA, dB, dM] = [new Float32Array(a.length), new Float32Array(b.length), new Float32Array(out)];
  for (let i = 0; i < out; i++) {
    const row = Array.from({ length: width }, (_, j) => {
      let value = w[i * width + j] as number;
      for (let k = 0; k < RANK; k++) value += SCALE * (b[i * RANK + k] as number) * (a[k * width + j] as number);
      return value;
    });
    const norm = Math.hypot(...row);
    for (let j = 0; j < width; j++) {
      const gradient = dW[i * width + j] as number;
      (dM[i] as number) += (gradient * (row[j] as number)) / norm;
      for (let k = 0; k < RANK; k++) {
        const toward = SCALE * gradient * (m ? (m[i] as number) / norm : 1);
        (dA[k * width + j] as number) += toward * (b[i * RANK + k] as number);
        (dB[i * RANK + k] as number) += toward * (a[k * width + j] as number);
      }
    }
  }
  return m ? [dA, dB, dM] : [dA, dB];
}

describeOn(await openOthers(), engine => {
  test.each(['lora', 'dora'] as const)('%s of convolutions: attached, merged, and its gradients', async method => {
    const settings = { targetModules: ['conv1', 'conv2', 'conv3'], rank: RANK, loraAlpha: 8, modulesToSave: [] };
    const adapter = await readAdapter(await tinyClassifierAdapter({ base: goldenFolder(family), method, ownHead: true, settings }));
    const base = await openModel(goldenFolder(family));
    const fingerprint = await base.weights.fingerprint();
    await base.weights.close();
    const merged = { weights: mergedWeights(golden.weights, adapter), attachment: untouched };
    const weight = { ...conv.weight, dtype: 'float32' } as const;
    const expected = await computeGolden(golden, { engine, ...merged, wrt: [weight] });
    const applied = await applyAdapter({ ...golden, fingerprint, adapter });
    expectClose([...((await computeGolden(golden, { engine, ...applied })).logits ?? [])], [...(expected.logits ?? [])], 1e-4);

    const attachment = methods[method].attach(golden.model, settingsOf(settings), new Map());
    const start = new Map<string, Float32Array>();
    for (const { name } of attachment.trainables) start.set(name, await adapter.readFloat32(name));
    const wrt = attachment.trainables.filter(({ name }) => name.startsWith(`${conv.name}.lora_`)).map(({ variable }) => variable);
    const found = await computeGolden(golden, { engine, attachment, start, wrt });
    expectClose([...(found.logits ?? [])], [...(expected.logits ?? [])], 1e-4);
    const values = wrt.map(({ name }) => valueFor(start, name));
    const [a, b] = atLeast(values, 2);
    const wanted = naive(floatsOf(expected, weight.name), await golden.weights.readFloat32(weight.name), a, b, values[2]);
    for (const [i, { name, shape }] of wrt.entries()) {
      expect(found[name]?.length).toBe(elementCount(shape));
      expectClose([...(found[name] ?? [])], [...elementAt(wanted, i)], 1e-4, name);
    }
    await adapter.close();
  });
});
