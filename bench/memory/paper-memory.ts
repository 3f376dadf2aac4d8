/** Compares the paper's memory figures with predictions for the same models and ranks in float32. Needs no weights. */

import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { elementAt } from '../../trainer/narrow.ts';
import { headersOf } from '../../trainer/plan/config-headers.ts';
import { estimateRecipe, type MemoryEstimate, type RecipeEstimate } from '../../trainer/plan/memory/predict.ts';
import { benchRecipe } from '../recipe.ts';
import { type Config, paperModels } from './memory-models.ts';

export interface PaperRow {
  readonly model: 'Llama-2-7B' | 'Llama-3-8B';
  readonly name: string;
  readonly recipe: string;
  /** Memory beyond inference in GB, and trainable parameters in millions. */
  readonly paper: { readonly memory: number; readonly trainable: number };
}

const lora = 'method: lora\nr: 64\nlora_dropout: 0.1\n';
const spsft = 'method: spsft\nr: 128\n';
const frozen = 'freeze: [attention]\n';

export const TABLE_7: readonly PaperRow[] = [
  { model: 'Llama-2-7B', name: 'LoRA r 64', recipe: lora, paper: { memory: 23.46, trainable: 159.9 } },
  { model: 'Llama-2-7B', name: 'SPSFT r 128', recipe: spsft, paper: { memory: 17.62, trainable: 145.8 } },
  { model: 'Llama-2-7B', name: 'FA-LoRA r 64', recipe: lora + frozen, paper: { memory: 17.25, trainable: 92.8 } },
  { model: 'Llama-2-7B', name: 'FA-SPSFT r 128', recipe: spsft + frozen, paper: { memory: 15.21, trainable: 78.6 } },
  { model: 'Llama-3-8B', name: 'LoRA r 64', recipe: lora, paper: { memory: 30.37, trainable: 167.8 } },
  { model: 'Llama-3-8B', name: 'SPSFT r 128', recipe: spsft, paper: { memory: 24.49, trainable: 159.4 } },
  { model: 'Llama-3-8B', name: 'FA-LoRA r 64', recipe: lora + frozen, paper: { memory: 24.55, trainable: 113.2 } },
  { model: 'Llama-3-8B', name: 'FA-SPSFT r 128', recipe: spsft + frozen, paper: { memory: 22.41, trainable: 92.3 } },
];

/** Tokens of two batches of one sample; the paper states neither batch size nor sample lengths, and the two show how much they matter. */
const TOKENS = [512, 1024] as const;

const predict = (config: Config, recipe: string): RecipeEstimate =>
  estimateRecipe({
    recipe: benchRecipe(`per_device_train_batch_size: 1\nper_device_eval_batch_size: 1\n${recipe}`),
    headers: headersOf(config),
  });

/** The bytes that training needs beyond inference, counted as in the paper. */
export function overInference({ trainedBytes, gradientBytes, optimizerBytes, activationBytes, buckets }: MemoryEstimate): number {
  const inference = Math.max(...buckets.map(({ evaluation }) => evaluation.activationBytes));
  return trainedBytes + gradientBytes + optimizerBytes + activationBytes - inference;
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(2);

export function paperMemory(): string {
  const rows = TABLE_7.map(({ model, name, recipe, paper }) => {
    const found = TOKENS.flatMap(tokens =>
      ['none', 'cheap'].map(level => predict(paperModels[model], `${recipe}max_length: ${tokens}\nrecompute: ${level}\n`)),
    );
    const trainable = (elementAt(found, 0).trainable / 1e6).toFixed(1);
    return `| ${model} ${name} | ${paper.trainable.toFixed(1)} / ${trainable} | ${paper.memory.toFixed(2)} | ${found.map(one => gigabytes(overInference(one))).join(' | ')} |`;
  });
  const large = paperModels['Llama-3-405B'];
  const short = 'max_length: 128\nrecompute: none\n';
  const [ofLora, ofSpsft] = [predict(large, `method: lora\nr: 256\n${short}`), predict(large, `method: spsft\nr: 256\n${short}`)];
  const state = (found: RecipeEstimate): number => 4 * found.trainable + found.optimizerBytes;
  const perLayer = 7;
  const cache = perLayer * large.num_hidden_layers * 32768 * 256 * 4;
  return `# The paper's memory, predicted

\`npm run bench -- --memory\` writes this file; \`rowtune estimate\` gives the same for any recipe. Float32, from config.json alone. Memory over
inference of the same model, in GB: trained parameters, gradients, optimizer and activations of a step, less the activations of a forward pass.

| run | million parameters, paper / ours | paper | ${TOKENS.flatMap(tokens => ['none', 'cheap'].map(level => `ours, ${tokens} tokens, ${level}`)).join(' | ')} |
| --- | --- | ---: | ${TOKENS.flatMap(() => ['---:', '---:']).join(' | ')} |
${rows.join('\n')}

**Why the figures differ.** The paper measures PyTorch and does not name its batch, and its samples (Alpaca) are short of the 2048 tokens that it
allows; activations grow with the tokens of a batch, so the table gives two sizes of it. PyTorch holds all attention scores and the logits of
every position in several copies; here attention runs in chunks of queries and the loss in chunks of the vocabulary, and updates are applied
while the backward pass runs unless clipping waits for all gradients. What should agree is the order: SPSFT below LoRA at each pair of ranks, and
less so with attention frozen.

**Llama-3-405B at r = 256.** Trained state (values, gradients' worth of moments): LoRA ${gigabytes(state(ofLora))} GB for ${(ofLora.trainable / 1e9).toFixed(2)} billion
parameters, SPSFT ${gigabytes(state(ofSpsft))} GB for ${(ofSpsft.trainable / 1e9).toFixed(2)} billion: ${gigabytes(state(ofLora) - state(ofSpsft))} GB less in values and AdamW's two moments,
${gigabytes(state(ofLora) - state(ofSpsft) + 4 * (ofLora.trainable - ofSpsft.trainable))} GB with gradients (paper: at least 48.6 GB). What LoRA caches of A·x at 32,768 tokens is ${gigabytes(cache)} GB a sample for the seven linear
layers of each block (paper: 29 GB).
`;
}

export const writePaperMemory = (folder: string): Promise<void> => writeFile(path.join(folder, 'paper-memory.md'), paperMemory());
