/**
 * Memory on cards that are not there: `npm run bench -- --cards`. What each run takes on each card by the model of the compiler's buffers, and
 * that model next to the card's own compiler for programs of a few blocks (compiled once, then found in the cache).
 */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { cardCatalog, cardNames, usableCardBytes } from '../../trainer/catalog/cards.ts';
import { CARD_ENGINE } from '../../trainer/catalog/engines.ts';
import { openCardCompiler } from '../../trainer/engine/pjrt/card-compiler.ts';
import type { RecomputePolicy } from '../../trainer/graph/recompute.ts';
import { compileTraining } from '../../trainer/handlers/card-memory.ts';
import { headersOf } from '../../trainer/plan/config-headers.ts';
import { priceRun } from '../../trainer/plan/memory/predict.ts';
import { planRun } from '../../trainer/plan/run-plan.ts';
import { messageOf } from '../../trainer/protocol/error-facts.ts';
import { benchRecipe } from '../recipe.ts';
import { type Config, paperModels, qwen3, smolLm2 } from './memory-models.ts';

const models: Readonly<Record<string, Config>> = {
  'Llama-2-7B': paperModels['Llama-2-7B'],
  'Llama-3-8B': paperModels['Llama-3-8B'],
  'Qwen3-8B': qwen3({ hidden_size: 4096, intermediate_size: 12288, num_hidden_layers: 36, num_attention_heads: 32 }),
  'Qwen3-14B': qwen3({ hidden_size: 5120, intermediate_size: 17408, num_hidden_layers: 40, num_attention_heads: 40 }),
  'Qwen3-32B': qwen3({ hidden_size: 5120, intermediate_size: 25600, num_hidden_layers: 64, num_attention_heads: 64 }),
};

const ONE = 'per_device_train_batch_size: 1\nper_device_eval_batch_size: 1\nmax_length: 2048\ndtype: bfloat16\n';

const methods = {
  'SPSFT r 128': 'r: 128',
  'LoRA r 64': 'method: lora\nr: 64',
  'SPSFT r 128, nf4': 'r: 128\nquantize: nf4',
  'LoRA r 64, nf4': 'method: lora\nr: 64\nquantize: nf4',
  full: 'method: full',
} as const;

interface Compiled {
  readonly name: string;
  readonly config: Config;
  readonly recipe: string;
  readonly level: RecomputePolicy;
}

const short = 'max_length: 256\nper_device_train_batch_size: 2\n';
const ofFour = (name: keyof typeof paperModels, recipe: string, level: RecomputePolicy): Compiled => ({
  name: `${name}, 4 blocks`,
  config: { ...paperModels[name], num_hidden_layers: 4 },
  recipe: `${ONE}${recipe}`,
  level,
});
const compiledCases: readonly Compiled[] = [
  { name: 'SmolLM2-135M', config: smolLm2, recipe: `${short}r: 32`, level: 'cheap' },
  { name: 'SmolLM2-135M', config: smolLm2, recipe: `${short}r: 32`, level: 'block' },
  { name: 'SmolLM2-135M', config: smolLm2, recipe: `${short}method: lora\nr: 16`, level: 'none' },
  ofFour('Llama-3-8B', 'r: 128', 'block'),
  ofFour('Llama-3-8B', 'method: lora\nr: 64\nquantize: nf4', 'block'),
  ofFour('Llama-2-7B', 'method: lora\nr: 64', 'block'),
  ofFour('Llama-2-7B', 'r: 128', 'cheap'),
  ofFour('Llama-2-7B', 'r: 128\nquantize: nf4', 'block'),
];

const planOf = (config: Config, recipe: string, recompute: RecomputePolicy) =>
  planRun({ recipe: benchRecipe(recipe), headers: headersOf(config), on: { engine: CARD_ENGINE, device: 'gpu' }, recompute });

const gibibytes = (bytes: number): string => (bytes / 2 ** 30).toFixed(1);
const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);

function predictedRow(model: string, config: Config, method: keyof typeof methods): string {
  const { totalBytes, activationBytes, trainable } = priceRun(planOf(config, `${ONE}${methods[method]}`, 'block'));
  const fits = cardNames.filter(name => totalBytes <= usableCardBytes(name)).map(name => cardCatalog[name].label);
  return `| ${model} | ${method} | ${(trainable / 1e6).toFixed(1)} | ${gibibytes(activationBytes)} | ${gibibytes(totalBytes)} | ${fits.join(', ') || 'none'} |`;
}

async function compiledRow({ name, config, recipe, level }: Compiled, cacheDir: string): Promise<string> {
  const plan = planOf(config, recipe, level);
  const { activationBytes, engineOverheadBytes } = priceRun(plan);
  const found = await compileTraining(plan, level, 'h100', openCardCompiler(cacheDir));
  const inPlace = found.aliased === found.changedBytes ? 'all' : mebibytes(found.aliased);
  const predicted = activationBytes + engineOverheadBytes;
  const error = (100 * (predicted / found.temporaries - 1)).toFixed(0);
  const said = recipe.trim().replaceAll('\n', '; ');
  return `| ${name} | ${said} | ${level} | ${mebibytes(found.arguments)} | ${inPlace} of ${mebibytes(found.changedBytes)} | ${mebibytes(predicted)} | ${mebibytes(found.temporaries)} | ${error}% |`;
}

/** @returns false where a program could not be compiled */
export async function runCardsBench({ root, cacheDir }: { readonly root: string; readonly cacheDir: string }): Promise<boolean> {
  const predicted = Object.entries(models).flatMap(([model, config]) =>
    // The keys of a table of ours: it has no others.
    (Object.keys(methods) as (keyof typeof methods)[]).map(method => predictedRow(model, config, method)),
  );
  const compiled: string[] = [];
  let isWhole = true;
  for (const one of compiledCases) {
    try {
      compiled.push(await compiledRow(one, cacheDir));
    } catch (error) {
      isWhole = false;
      console.error(`${one.name}: ${messageOf(error)}`);
    }
  }
  const file = path.join(root, 'bench', 'results', 'cards.md');
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, markdown(predicted, compiled));
  return isWhole;
}

const markdown = (predicted: readonly string[], compiled: readonly string[]): string => `# Memory on cards that are not there

\`npm run bench -- --cards\`. GPU: unmeasured. Nothing here was run on a card.

## The model of buffers next to the card's own compiler

Training steps compiled for an H100 without one, by jax-cuda13-pjrt. Temporaries in MiB; the last column is the error of the model.

| model | recipe | recompute | arguments | updated in place | temporaries, model | temporaries, compiler | error |
| --- | --- | --- | ---: | --- | ---: | ---: | ---: |
${compiled.join('\n')}

## Whole models, by the model of buffers

One sample of 2048 tokens, bfloat16, blocks recomputed; GiB. One gibibyte of each card is assumed for the driver and its context. Whole models
were not compiled: those rows are missing above.

| model | method | million trained | activations | total | fits |
| --- | --- | ---: | ---: | ---: | --- |
${predicted.join('\n')}
`;
