/** Tests adapters that PEFT wrote for image models, mainly with convolutions: PEFT's logits, and its gradients of what is trained. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { applyAdapter, untouched } from '../../trainer/adapter/apply-adapter.ts';
import { mergedWeights } from '../../trainer/adapter/merge.ts';
import { readAdapter } from '../../trainer/adapter/read-adapter.ts';
import { methods } from '../../trainer/method/methods.ts';
import { largestDifference } from '../../trainer/verify/verify-model.ts';
import { describeOn, openOthers } from '../support/engines.ts';
import { computeGolden, openGoldenClassifier } from '../support/golden/golden-classifier.ts';
import { settingsOf } from '../support/models/method-settings.ts';
import { floatsOf } from '../support/numbers/outputs.ts';
import { readJson } from '../support/files/read-json.ts';

const numbersForm = z.object({
  logits: z.array(z.number()),
  /** Empty for files that only have logits. */
  grads: z.record(z.string(), z.object({ l2: z.number(), first4: z.array(z.number()) })).default({}),
});

const dirOf = (name: string): string => join(import.meta.dirname, 'peft', name);
const numbersOf = (name: string) => readJson(join(dirOf(name), 'logits.json'), numbersForm);
describeOn(await openOthers(), engine => {
  test.each([
    ['LoRA of convolutions', 'resnet', 'resnet_convolutions'],
    ['DoRA of convolutions', 'resnet', 'resnet_dora'],
    ['LoRA of grouped convolutions', 'timm_resnext', 'resnext_groups'],
    ['DoRA of layers that Transformers 5 renames', 'vit', 'vit_dora'],
  ])('%s computes what PEFT computes, attached and merged', async (_, family, name) => {
    const golden = await openGoldenClassifier(family);
    const { logits } = numbersOf(name);
    const adapter = await readAdapter(dirOf(name));
    const tuned = await applyAdapter({ ...golden, fingerprint: '', adapter });
    expect(largestDifference(floatsOf(await computeGolden(golden, { engine, ...tuned }), 'logits'), logits)).toBeLessThan(1e-4);
    const merged = { weights: mergedWeights(golden.weights, adapter), attachment: untouched };
    expect(largestDifference(floatsOf(await computeGolden(golden, { engine, ...merged }), 'logits'), logits)).toBeLessThan(1e-4);
    await adapter.close();
  });

  test.each([
    ['lora', 'resnet_convolutions'],
    ['dora', 'resnet_dora'],
  ] as const)("%s of convolutions has PEFT's gradients", async (method, name) => {
    const golden = await openGoldenClassifier('resnet');
    const { grads } = numbersOf(name);
    const adapter = await readAdapter(dirOf(name));
    const settings = settingsOf({ rank: 3, loraAlpha: 6, modulesToSave: ['head'] });
    const attachment = methods[method].attach(golden.model, settings, new Map());
    const start = new Map<string, Float32Array>();
    for (const tensor of adapter.tensors.keys()) start.set(tensor, await adapter.readFloat32(tensor));
    const weights = mergedWeights(golden.weights, adapter, () => false);
    const wrt = attachment.trainables.map(({ variable }) => variable);
    const found = await computeGolden(golden, { engine, attachment, weights, start, wrt });
    expect(wrt.map(variable => variable.name).sort()).toEqual(Object.keys(grads).sort());
    for (const [tensor, { l2, first4 }] of Object.entries(grads)) {
      const gradient = floatsOf(found, tensor);
      expect(Math.abs(Math.hypot(...gradient) / l2 - 1), tensor).toBeLessThan(1e-3);
      expect(largestDifference(gradient.slice(0, 4), first4), tensor).toBeLessThan(1e-3 * l2);
    }
    await adapter.close();
  });
});
