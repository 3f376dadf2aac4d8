/** Describes how one setting affects the memory of this run, in numbers. Pure. */
import { memorySplit } from '../trainer/lint/problems/fact-problems.ts';
import { memoryOwner, type RecipeView } from '../trainer/lint/recipe-view.ts';
import type { RecipeEstimate } from '../trainer/plan/memory/predict.ts';
import { partsOfBatch } from '../trainer/protocol/recipe/global-batch.ts';
import { byteSize, grouped, percent } from '../trainer/protocol/text/format.ts';

type Say = (estimate: RecipeEstimate, values: RecipeView['values']) => string;

const elsewhere = (offloadedBytes: number): string => (offloadedBytes > 0 ? `, plus ${byteSize(offloadedBytes)} stored elsewhere` : '');

/** Settings that affect memory, and a sentence for each. */
const sentences: Readonly<Record<string, Say>> = {
  model: ({ weightsBytes }) => `The weights take ${byteSize(weightsBytes)}.`,
  dtype: ({ weightsBytes }) => `The weights take ${byteSize(weightsBytes)}.`,
  per_device_train_batch_size: ({ activationBytes }, { per_device_train_batch_size: batch }) =>
    `Each sample of a batch takes about ${byteSize(activationBytes / batch)} of activations: ${2 * batch} instead of ${batch} would add ${byteSize(activationBytes)}.`,
  per_device_eval_batch_size: (_, { per_device_eval_batch_size: batch }) =>
    `The prediction holds for evaluation in batches of ${batch} too.`,
  max_length: ({ activationBytes }, { max_length: tokens }) =>
    `A full batch of ${grouped(tokens)} tokens a sample takes ${byteSize(activationBytes)} of activations; half the length saves about ${byteSize(activationBytes / 2)}.`,
  gradient_accumulation_steps: ({ gradientBytes, trainable }, { gradient_accumulation_steps: steps }) =>
    steps > 1
      ? `Gradients held between batches take ${byteSize(gradientBytes)}.`
      : `Above 1, gradients held between batches would take ${byteSize(4 * trainable)}.`,
  r: ({ trainable, optimizerBytes, trainedBytes }, { r = 1 }) =>
    `${grouped(trainable)} numbers are trained. Each step of r adds ${grouped(Math.round(trainable / r))} of them, and ${byteSize((optimizerBytes + trainedBytes) / r)}.`,
  ratio: ({ trainable, trainableShare, optimizerBytes }) =>
    `${grouped(trainable)} numbers are trained (${percent(trainableShare, 2)}), whose optimizer takes ${byteSize(optimizerBytes)}.`,
  target_modules: ({ trainable, trainableShare, optimizerBytes }) =>
    `${grouped(trainable)} numbers are trained (${percent(trainableShare, 2)}), whose optimizer takes ${byteSize(optimizerBytes)}.`,
  optim: ({ optimizerBytes, offloadedBytes }) => `The optimizer's state takes ${byteSize(optimizerBytes)}${elsewhere(offloadedBytes)}.`,
  optimizer_offload: ({ optimizerBytes, offloadedBytes }) =>
    `The optimizer's state takes ${byteSize(optimizerBytes)} of memory${elsewhere(offloadedBytes)}.`,
  base_offload: ({ weightsBytes, offloadedBytes, baseOnHost }) =>
    `The weights take ${byteSize(weightsBytes)} of memory${elsewhere(offloadedBytes)}.${baseOnHost ? ` With ${baseOnHost.overrides.join(' ')}, the run would take ${byteSize(baseOnHost.runBytes)}${elsewhere(baseOnHost.offloadedBytes)}.` : ''}`,
  method: estimate =>
    table(
      'method',
      [estimate, ...estimate.alternatives].map(other => [nameOf(other), other.totalBytes, other.activationBytes]),
    ),
  recompute: ({ levels, recompute }) =>
    table(
      'level',
      levels.map(level => [
        level.recompute === recompute ? `**${level.recompute}**` : level.recompute,
        level.totalBytes,
        level.activationBytes,
      ]),
    ),
  engine: ({ engineOverheadBytes }) => `The engine itself takes about ${byteSize(engineOverheadBytes)}.`,
};

const nameOf = ({ method, r }: Pick<RecipeEstimate, 'method' | 'r'>): string => (r === undefined ? method : `${method}, r ${r}`);

const table = (head: string, rows: readonly (readonly [string, number, number])[]): string =>
  [
    `| ${head} | in all | activations |`,
    '| --- | --- | --- |',
    ...rows.map(([name, total, activations]) => `| ${name} | ${byteSize(total)} | ${byteSize(activations)} |`),
  ].join('\n');

/** Returns undefined without an estimate, or for a setting that needs no memory. @param path dotted */
export function memoryText({ estimate, values, availableBytes, card, gpu, isPerDevice }: RecipeView, path: string): string | undefined {
  if (estimate === undefined || !Object.hasOwn(sentences, path)) return undefined;
  const own = sentences[path]?.(estimate, values) ?? '';
  return `*Here:* ${own.startsWith('|') ? `\n\n${own}` : own}\n\nThis run: about **${byteSize(estimate.runBytes)}**${ofFree({ availableBytes, card, gpu, isPerDevice, values })}. ${memorySplit(estimate)}.${gpu?.assumed === undefined ? '' : ` ${gpu.assumed}.`}`;
}

type FreeMemory = Pick<RecipeView, 'availableBytes' | 'card' | 'gpu' | 'isPerDevice' | 'values'>;

/**
 * " of 8.1 GB free", " of 24.7 GB on RTX 4090", or " of 24.7 GB on each RTX 4090" for several processes or devices; empty if the free
 * memory is unknown.
 */
export function ofFree({ availableBytes, card, gpu, isPerDevice, values }: FreeMemory): string {
  if (!Number.isFinite(availableBytes)) return '';
  const device = memoryOwner({ card, gpu, isPerDevice });
  const where = device === undefined ? 'free' : `on ${partsOfBatch(values) > 1 ? 'each ' : ''}${device}`;
  return ` of ${byteSize(availableBytes)} ${where}`;
}
