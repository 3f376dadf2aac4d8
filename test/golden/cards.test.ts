/**
 * The law of cards: the smallest training step of each family, compiled for real cards without one, updates every variable where it lies
 * and leaves nothing on the host. By default one family for one card, since a step takes six seconds of a processor or more to compile:
 * `ROWTUNE_TEST_CARDS=all` compiles all families for all generations, and compares the estimate with the compiler for larger steps. Needs
 * `rowtune engine install --variant cuda13 --compile-only`.
 */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { compileCase, compiledParts } from '../../bench/memory/cards.ts';
import { type CardName, cardOfEachGeneration } from '../../trainer/catalog/cards.ts';
import { locateCardCompiler, pjrtAddonIsCurrent } from '../../trainer/engine/install/pjrt-folder.ts';
import { openCardCompiler } from '../../trainer/engine/pjrt/card-compiler.ts';
import { openCardPrograms } from '../../trainer/engine/pjrt/card-programs.ts';
import { compileTraining } from '../../trainer/handlers/card-memory.ts';
import { loadModel } from '../../trainer/model/load-model.ts';
import { required } from '../../trainer/narrow.ts';
import { priceRun } from '../../trainer/plan/memory/predict.ts';
import { planRun } from '../../trainer/plan/run-plan.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { describeWith } from '../support/describe-with.ts';
import { readRecord } from '../support/files/read-json.ts';
import { recipeIn } from '../support/runs/recipe-of.ts';

const installed = locateCardCompiler(cacheDir);
const isReady = installed !== undefined && pjrtAddonIsCurrent(installed.folder);
const compilerHere = isReady ? openCardCompiler(cacheDir) : undefined;
const missing = 'run rowtune engine install --variant cuda13 --compile-only';
const golden = path.join(import.meta.dirname);
const COMPILE_MS = 1_200_000;

type Config = Readonly<Record<string, unknown>>;

/** The folder of each architecture in test/golden whose name comes first. */
function families(): readonly { readonly folder: string; readonly config: Config }[] {
  const seen = new Set<string>();
  return readdirSync(golden)
    .filter(folder => existsSync(path.join(golden, folder, 'config.json')) && existsSync(path.join(golden, folder, 'golden.json')))
    .flatMap(folder => {
      const config = readRecord(path.join(golden, folder, 'config.json'));
      const [architecture = folder] = z.array(z.string()).default([]).parse(config.architectures);
      if (seen.has(architecture)) return [];
      seen.add(architecture);
      return [{ folder, config }];
    });
}

const all = process.env.ROWTUNE_TEST_CARDS === 'all';
const [oneOf] = cardOfEachGeneration;
const cases = families()
  .filter(({ folder }) => all || folder === 'llama')
  .flatMap(({ folder, config }) => (all ? cardOfEachGeneration : [oneOf]).map(card => [folder, card, config] as const));

/** With matrices large enough to be offloaded. */
const wide: Config = { ...readRecord(path.join(golden, 'llama', 'config.json')), hidden_size: 128, intermediate_size: 256, num_hidden_layers: 2 };

function planOf(config: Config, more = 'r: 2\n') {
  const model = loadModel(config);
  const isImage = model.kind !== 'causal' && model.input.kind === 'image';
  const task = model.kind === 'causal' ? 'causal_lm' : isImage ? 'image_classification' : 'sequence_classification';
  const text = `model: base\ndata: {train: [train.jsonl]}\ntask: ${task}\n${more}max_length: 16\nper_device_train_batch_size: 2\n`;
  const recipe = recipeIn(text);
  const tensors = new Map(model.parameters.map(parameter => [parameter.name, parameter]));
  return planRun({ recipe, headers: { config, tensors }, on: { engine: 'pjrt', device: 'gpu' }, recompute: 'cheap' });
}

describeWith('a step compiled for a card', compilerHere, missing, compiler => {
  it.each(cases)(
    'of %s for %s updates every variable in place, on the card alone',
    async (_, card: CardName, config) => {
      const found = await compileTraining(planOf(config), 'cheap', card, compiler);
      expect(found.aliased).toBe(found.changedBytes);
      expect(found.host).toBe(0);
      expect(found.hostOperations).toEqual([]);
      expect(found.temporaries).toBeGreaterThan(0);
      expect(found.totalBytes).toBe(found.arguments + found.outputs - found.aliased + found.temporaries + found.code);
    },
    COMPILE_MS,
  );

  it.each(all ? compiledParts : [])(
    'of $name ($level) for $card takes the temporaries that an estimate says, within 10%',
    async one => {
      const { predicted, temporaries } = await compileCase(one, compiler);
      expect(Math.abs(predicted / temporaries - 1)).toBeLessThanOrEqual(0.1);
    },
    COMPILE_MS,
  );

  it('is found compiled the second time', async () => {
    const [, card, config] = cases[0] ?? ['', oneOf, {}];
    const again = await compileTraining(planOf(config), 'cheap', card, compiler);
    expect(again.found).toBe(true);
  });

  it('gives an estimate its memory', () => {
    const [, card, config] = cases[0] ?? ['', oneOf, {}];
    const plan = planOf(config);
    const found = priceRun(plan, { known: openCardPrograms(cacheDir, card) });
    expect(found).toMatchObject({ source: 'compiler', recompute: 'cheap' });
    expect(priceRun(plan).source).toBe('model');
  });

  it(
    "keeps the optimizer's state in the memory of the host, if it is offloaded, and takes as much less of the card",
    async () => {
      const plan = (more: string) => planOf(wide, `method: full\n${more}`);
      const there = plan('optimizer_offload: host\n');
      const [onCard, onHost] = [plan(''), there].map(each => compileTraining(each, 'cheap', oneOf, compiler));
      const [before, after] = [required(await onCard, 'on the card'), required(await onHost, 'on the host')];
      const { offloadedBytes } = priceRun(there);
      expect(offloadedBytes).toBeGreaterThan(0);
      expect(after.host).toBe(offloadedBytes);
      expect(before.arguments - after.arguments).toBe(offloadedBytes);
      expect(after.totalBytes).toBeLessThan(before.totalBytes);
      expect(after.hostOperations).toEqual([]);
    },
    2 * COMPILE_MS,
  );

  it(
    'of one of two cards has the sums of gradients within it, and takes at most what an estimate says for them',
    async () => {
      const plan = (devices: number) => planOf(wide, `method: full\nengine: pjrt\ndevices: ${devices}\n`);
      const both = plan(2);
      const one = await compileTraining(plan(1), 'cheap', oneOf, compiler);
      const two = await compileTraining(both, 'cheap', oneOf, compiler);
      expect(two.aliased).toBe(two.changedBytes);
      expect(two.changedBytes).toBe(one.changedBytes);
      expect(two.hostOperations).toEqual([]);
      const { exchangeBytes = 0, trainable } = priceRun(both);
      expect(exchangeBytes).toBe(2 * 4 * trainable);
      const sums = two.temporaries - one.temporaries;
      console.log(`sums on each of two cards: ${sums} bytes, ${(sums / (4 * trainable)).toFixed(2)} times the gradients`);
      expect(sums).toBeLessThanOrEqual(exchangeBytes);
      expect(priceRun(both, { known: openCardPrograms(cacheDir, oneOf) }).source).toBe('compiler');
    },
    2 * COMPILE_MS,
  );

  it('names the card and the reason where the compiler refuses a program', async () => {
    const refused = compiler.compile('h100', { text: 'module @broken { func.func @main() { return %x : tensor<f32> } }' });
    await expect(refused).rejects.toThrow(/jax-cuda1\d-pjrt .* could not compile the program for H100 80 GB: /);
  });
});
