/** Adapters that PEFT wrote for image models, convolutions above all: its logits, and its gradients of what is trained. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { applyAdapter, untouched } from '../../trainer/artifact/adapter/apply-adapter.ts';
import { mergedWeights } from '../../trainer/artifact/adapter/merge.ts';
import { readAdapter } from '../../trainer/artifact/adapter/read-adapter.ts';
import type { Engine } from '../../trainer/engine/engine.ts';
import type { MethodName } from '../../trainer/catalog/methods.ts';
import { methods } from '../../trainer/method/methods.ts';
import { largestDifference } from '../../trainer/verify/verify-model.ts';
import { openFast, openOthers } from '../support/engines.ts';
import { computeGolden, openGoldenClassifier } from '../support/golden-classifier.ts';
import { settingsOf } from '../support/method-settings.ts';

interface PeftNumbers {
  readonly logits: number[];
  readonly grads: Readonly<Record<string, { readonly l2: number; readonly first4: number[] }>>;
}

const dirOf = (name: string): string => join(import.meta.dirname, 'peft', name);
const numbersOf = async (name: string): Promise<PeftNumbers> => JSON.parse(await readFile(join(dirOf(name), 'logits.json'), 'utf8'));
const engines = [
  { name: 'portable, wasm', engine: await openFast(), missing: undefined },
  ...(await openOthers()).filter(({ name }) => name === 'tensorflow'),
];

describe.each(engines)('$name', ({ engine: opened, missing }) => {
  const engine = opened as Engine;

  test.skipIf(missing).each([
    ['LoRA of convolutions', 'resnet', 'resnet_convolutions'],
    ['DoRA of convolutions', 'resnet', 'resnet_dora'],
    ['LoRA of grouped convolutions', 'timm_resnext', 'resnext_groups'],
    ['DoRA of layers that Transformers 5 renames', 'vit', 'vit_dora'],
  ])('%s computes what PEFT computes, attached and merged', async (_, family, name) => {
    const golden = await openGoldenClassifier(family);
    const { logits } = await numbersOf(name);
    const adapter = await readAdapter(dirOf(name));
    const tuned = await applyAdapter({ ...golden, fingerprint: '', adapter });
    expect(largestDifference((await computeGolden(golden, { engine, ...tuned })).logits as Float32Array, logits)).toBeLessThan(1e-4);
    const merged = { weights: mergedWeights(golden.weights, adapter), attachment: untouched };
    expect(largestDifference((await computeGolden(golden, { engine, ...merged })).logits as Float32Array, logits)).toBeLessThan(1e-4);
    await adapter.close();
  });

  test.skipIf(missing).each([
    ['lora', 'resnet_convolutions'],
    ['dora', 'resnet_dora'],
  ] as [MethodName, string][])("%s of convolutions has PEFT's gradients", async (method, name) => {
    const golden = await openGoldenClassifier('resnet');
    const { grads } = await numbersOf(name);
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
      const gradient = found[tensor] as Float32Array;
      expect(Math.abs(Math.hypot(...gradient) / l2 - 1), tensor).toBeLessThan(1e-3);
      expect(largestDifference(gradient.slice(0, 4), first4), tensor).toBeLessThan(1e-3 * l2);
    }
    await adapter.close();
  });
});
