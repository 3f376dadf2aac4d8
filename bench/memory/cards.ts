/**
 * Memory on cards that are not present: `npm run bench -- --cards`. Predicts the memory of each run on each card with the model of the
 * compiler's buffers, and compares that model with the card's own compiler. Each step is compiled once and then cached.
 */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ASSUMED_CARD, type CardName, cardCatalog, cardNames, makerOf, usableCardBytes } from '../../trainer/catalog/cards.ts';
import { CARD_ENGINE } from '../../trainer/catalog/engines.ts';
import { type CardCompiler, openCardCompiler } from '../../trainer/engine/pjrt/card-compiler.ts';
import type { RecomputePolicy } from '../../trainer/graph/recompute.ts';
import { byteSize } from '../../trainer/graph/types.ts';
import { type CompiledPass, compileTraining } from '../../trainer/handlers/card-memory.ts';
import { headersOf } from '../../trainer/plan/config-headers.ts';
import { trainingStep } from '../../trainer/plan/memory/counted-passes.ts';
import { priceRun } from '../../trainer/plan/memory/predict.ts';
import { planRun, type RunPlan } from '../../trainer/plan/run-plan.ts';
import { messageOf } from '../../trainer/protocol/error-facts.ts';
import { log } from '../measurements.ts';
import { benchRecipe } from '../recipe.ts';
import { type Config, paperModels, qwen3, smolLm2 } from './memory-models.ts';
import { overInference, type PaperRow, TABLE_7 } from './paper-memory.ts';

const models = {
  'Llama-2-7B': paperModels['Llama-2-7B'],
  'Llama-3-8B': paperModels['Llama-3-8B'],
  'Qwen3-8B': qwen3({ hidden_size: 4096, intermediate_size: 12288, num_hidden_layers: 36, num_attention_heads: 32 }),
  'Qwen3-14B': qwen3({ hidden_size: 5120, intermediate_size: 17408, num_hidden_layers: 40, num_attention_heads: 40 }),
  'Qwen3-32B': qwen3({ hidden_size: 5120, intermediate_size: 25600, num_hidden_layers: 64, num_attention_heads: 64 }),
} as const satisfies Readonly<Record<string, Config>>;

type Size = keyof typeof models;

const ONE = 'per_device_train_batch_size: 1\nper_device_eval_batch_size: 1\nmax_length: 2048\ndtype: bfloat16\n';

const methods = {
  'SPSFT r 128': 'r: 128',
  // About the same number of parameters; random columns are the default for a language model.
  'SPSFT columns r 120': 'trains: columns\nr: 120',
  'LoRA r 64': 'method: lora\nr: 64',
  'SPSFT r 128, nf4': 'r: 128\nquantize: nf4',
  'LoRA r 64, nf4': 'method: lora\nr: 64\nquantize: nf4',
  'SPSFT r 128, base in host memory': 'r: 128\nengine: pjrt\nbase_offload: host',
  full: 'method: full',
} as const;

/** A training step compiled for a card. */
export interface CompiledCase {
  readonly name: string;
  readonly config: Config;
  readonly recipe: string;
  readonly level: RecomputePolicy;
  readonly card: CardName;
}

const short = 'max_length: 256\nper_device_train_batch_size: 2\n';
const ofFour = (name: Size, recipe: string, level: RecomputePolicy, card: CardName = 'h100'): CompiledCase => ({
  name: `${name}, 4 blocks`,
  config: { ...models[name], num_hidden_layers: 4 },
  recipe: `${ONE}${recipe}`,
  level,
  card,
});
const ofSmol = (recipe: string, level: RecomputePolicy): CompiledCase => ({
  name: 'SmolLM2-135M',
  config: smolLm2,
  recipe: `${short}${recipe}`,
  level,
  card: 'h100',
});
const whole = (name: Size, method: keyof typeof methods, card: CardName): CompiledCase => ({
  name: `${name}, whole`,
  config: models[name],
  recipe: `${ONE}${methods[method]}`,
  level: 'block',
  card,
});

/** The steps in bench/results/cards.md: small models and a few blocks of large ones, then whole models. */
export const compiledParts: readonly CompiledCase[] = [
  ofSmol('r: 32', 'cheap'),
  ofSmol('r: 32', 'block'),
  ofSmol('method: lora\nr: 16', 'none'),
  ofFour('Llama-3-8B', 'r: 128', 'block'),
  ofFour('Llama-3-8B', 'trains: columns\nr: 120', 'block'),
  ofFour('Llama-3-8B', 'trains: columns\nr: 120', 'none'),
  ofFour('Llama-3-8B', 'method: lora\nr: 64\nquantize: nf4', 'block'),
  ofFour('Llama-2-7B', 'method: lora\nr: 64', 'block'),
  ofFour('Llama-2-7B', 'r: 128', 'cheap'),
  ofFour('Llama-2-7B', 'r: 128\nquantize: nf4', 'block'),
  ofFour('Llama-3-8B', 'r: 128', 'block', 'rx-7900-xtx'),
  ofFour('Llama-3-8B', 'trains: columns\nr: 120', 'none', 'mi300x'),
];
const compiledWhole: readonly CompiledCase[] = [
  whole('Llama-2-7B', 'SPSFT r 128', 'h100'),
  whole('Llama-2-7B', 'LoRA r 64', 'h100'),
  whole('Llama-3-8B', 'SPSFT r 128', 'h100'),
  whole('Llama-3-8B', 'SPSFT columns r 120', 'h100'),
  whole('Llama-3-8B', 'LoRA r 64', 'h100'),
  whole('Llama-2-7B', 'SPSFT r 128, nf4', 'rtx-4090'),
  whole('Llama-3-8B', 'SPSFT r 128, nf4', 'rtx-4090'),
  whole('Llama-3-8B', 'SPSFT r 128, base in host memory', 'rtx-3060'),
  whole('Qwen3-8B', 'SPSFT r 128', 'rtx-4090'),
  whole('Qwen3-8B', 'SPSFT r 128, nf4', 'rtx-3060'),
  whole('Qwen3-14B', 'SPSFT r 128, nf4', 'rtx-4060-ti'),
  whole('Qwen3-32B', 'SPSFT r 128, nf4', 'rtx-5090'),
  whole('Llama-3-8B', 'SPSFT r 128', 'rx-7900-xtx'),
  whole('Qwen3-8B', 'SPSFT r 128, nf4', 'rx-9070-xt'),
];

const planOf = (config: Config, recipe: string, recompute: RecomputePolicy, card: CardName = ASSUMED_CARD) =>
  planRun({ recipe: benchRecipe(recipe), headers: headersOf(config), on: { engine: CARD_ENGINE, device: 'gpu', card }, recompute });

const gibibytes = (bytes: number): string => (bytes / 2 ** 30).toFixed(1);
const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);

function predictedRow(model: string, config: Config, method: keyof typeof methods): string {
  const pricedFor = (card: CardName) => priceRun(planOf(config, `${ONE}${methods[method]}`, 'block', card));
  const { totalBytes, activationBytes, offloadedBytes, trainable } = pricedFor(ASSUMED_CARD);
  // Only activations differ between cards, by a few percent. So a card is priced only where their size decides.
  const isOn = (name: CardName): boolean => {
    const free = usableCardBytes(name) - (totalBytes - activationBytes);
    if (free < 0 || free > 2 * activationBytes) return free > 0;
    return pricedFor(name).totalBytes <= usableCardBytes(name);
  };
  const fits = cardNames.filter(isOn).map(name => cardCatalog[name].label);
  return `| ${model} | ${method} | ${(trainable / 1e6).toFixed(1)} | ${gibibytes(activationBytes)} | ${gibibytes(totalBytes)} | ${gibibytes(offloadedBytes)} | ${fits.join(', ') || 'none'} |`;
}

/** Memory beyond inference on a card, next to that of the paper, in GB. */
function paperRow({ model, name, recipe, paper }: PaperRow): string {
  const priced = priceRun(planOf(paperModels[model], `${ONE}${recipe}`, 'block'));
  return `| ${model} ${name} | ${(priced.trainable / 1e6).toFixed(1)} | ${paper.memory.toFixed(2)} | ${(overInference(priced) / 1e9).toFixed(2)} |`;
}

export interface CompiledStep extends CompiledPass {
  /** Bytes of the temporaries, predicted by the model of buffers. */
  readonly predicted: number;
}

export async function compileCase({ config, recipe, level, card }: CompiledCase, compiler: CardCompiler): Promise<CompiledStep> {
  const plan = planOf(config, recipe, level, card);
  const found = await compileTraining(plan, level, card, compiler);
  return { ...found, predicted: modeledTemporaries(plan, level) };
}

/**
 * Bytes of the temporaries of a plan's largest training step, predicted by the model of buffers: its activations without the batch, which
 * is an argument.
 */
export function modeledTemporaries(plan: RunPlan, level: RecomputePolicy): number {
  const steps = priceRun(plan).buckets.flatMap(({ training }) => training.filter(({ recompute }) => recompute === level));
  const { feeds } = trainingStep(plan, level).signature;
  return Math.max(...steps.map(({ activationBytes }) => activationBytes)) - feeds.reduce((sum, { attrs }) => sum + byteSize(attrs.spec), 0);
}

function compiledRow({ name, recipe, level, card }: CompiledCase, found: CompiledStep): string {
  const inPlace = found.aliased === found.changedBytes ? 'all' : mebibytes(found.aliased);
  const error = (100 * (found.predicted / found.temporaries - 1)).toFixed(1);
  const ofCard = ((100 * (found.arguments + found.temporaries)) / usableCardBytes(card)).toFixed(0);
  const settings = recipe
    .trim()
    .split('\n')
    .filter(line => !/^(per_device_eval_batch_size|engine):/.test(line))
    .join('; ');
  return `| ${name} | ${settings} | ${level} | ${cardCatalog[card].label} | ${mebibytes(found.arguments)} | ${inPlace} of ${mebibytes(found.changedBytes)} | ${mebibytes(found.predicted)} | ${mebibytes(found.temporaries)} | ${error}% | ${ofCard}% |`;
}

/**
 * Writes bench/results/cards.md after every row, so that an interrupted run leaves its results. Compiled steps are cached for the next run.
 *
 * @returns false if a program could not be compiled
 */
export async function runCardsBench({ root, cacheDir }: { readonly root: string; readonly cacheDir: string }): Promise<boolean> {
  const file = path.join(root, 'bench', 'results', 'cards.md');
  await mkdir(path.dirname(file), { recursive: true });
  const [predicted, paper, compiled]: [string[], string[], string[]] = [[], [], []];
  const missing = new Set([...compiledParts, ...compiledWhole]);
  const write = () => writeFile(file, markdown({ predicted, compiled, missing: [...missing].map(titleOf), paper }));
  const priced = [
    ...Object.entries(models).flatMap(([model, config]) =>
      // All keys of this table are known.
      (Object.keys(methods) as (keyof typeof methods)[]).map(method => ({
        title: `${model}, ${method}`,
        add: () => predicted.push(predictedRow(model, config, method)),
      })),
    ),
    ...TABLE_7.map(row => ({ title: `${row.model}, ${row.name} (paper)`, add: () => paper.push(paperRow(row)) })),
  ];
  const begin = performance.now();
  for (const [i, { title, add }] of priced.entries()) {
    add();
    await write();
    const minutes = (performance.now() - begin) / 60_000;
    const left = (minutes / (i + 1)) * (priced.length - i - 1);
    log(`priced ${i + 1} of ${priced.length}, ${((i + 1) / minutes).toFixed(1)} a minute, about ${left.toFixed(0)} min left: ${title}`);
  }
  const compilers = {
    nvidia: openCardCompiler(cacheDir, 'nvidia', { forMemory: true }),
    amd: openCardCompiler(cacheDir, 'amd', { forMemory: true }),
  };
  for (const one of [...missing]) {
    try {
      const found = await compileCase(one, compilers[makerOf(one.card)]);
      compiled.push(compiledRow(one, found));
      missing.delete(one);
      log(`${titleOf(one)}: ${found.found ? 'found compiled' : `compiled in ${found.seconds.toFixed(0)} s`}`);
    } catch (error) {
      log(`${titleOf(one)}: ${messageOf(error)}`);
    }
    await write();
  }
  return missing.size === 0;
}

const titleOf = ({ name, recipe, card }: CompiledCase): string => `${name}, ${methodOf(recipe)}, for ${cardCatalog[card].label}`;

/** The lines of a recipe that describe how the model is trained. */
const methodOf = (recipe: string): string =>
  recipe
    .trim()
    .split('\n')
    .filter(line => /^(method|trains|r|quantize|base_offload):/.test(line))
    .join(', ');

interface Tables {
  readonly predicted: readonly string[];
  readonly compiled: readonly string[];
  /** Steps that are not compiled yet. */
  readonly missing: readonly string[];
  readonly paper: readonly string[];
}

const markdown = ({ predicted, compiled, missing, paper }: Tables): string => `# Memory on cards that are not installed

\`npm run bench -- --cards\`. GPU: unmeasured. Nothing here was run on a card.

## The model of buffers next to the card's own compiler

Training steps compiled for cards that are not there, by jax-cuda13-pjrt and jax-rocm7-pjrt, until the memory of each program is decided:
kernels do not change it. Sizes are in MiB. The error is that of the model. The last column is what arguments and temporaries take of the memory that a run has on that card (one gibibyte less
than the card's).

| model | recipe | recompute | card | arguments | updated in place | temporaries, model | temporaries, compiler | error | of the card |
| --- | --- | --- | --- | ---: | --- | ---: | ---: | ---: | ---: |
${compiled.join('\n')}
${missing.length > 0 ? `\n**Not compiled.** ${missing.join('; ')}.\n` : ''}
## Whole models, by the model of buffers

One sample of 2048 tokens, bfloat16, blocks recomputed; GiB, on an ${cardCatalog[ASSUMED_CARD].label}. One gibibyte of each card is assumed for the driver and
its context. What lies on the host is in no total. Those that were also compiled are in the table above.

| model | method | million trained | activations | total | on the host | fits |
| --- | --- | ---: | ---: | ---: | ---: | --- |
${predicted.join('\n')}

## Next to the paper

Memory over inference of the same model, in GB: what is trained, its optimizer, and activations beyond those of a forward pass. The paper's
figures are PyTorch's in float32 ([paper-memory.md](paper-memory.md) has ours in float32). Ours are the settings of the table above.

| run | million trained | paper | ours |
| --- | ---: | ---: | ---: |
${paper.join('\n')}
`;
