/** A task that trains in a second: the tiny Llama with a character tokenizer, and short texts whose characters determine the label. */
import { cpSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JobContext } from '../../../trainer/protocol/messages/job-messages.ts';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { cacheDir } from '../cache-dir.ts';
import { recipeIn } from './recipe-of.ts';

const golden = join(import.meta.dirname, '..', '..', 'golden');

export interface TinyTask {
  readonly folder: string;
  readonly context: JobContext;
  /** The recipe's text, without overrides. */
  readonly text: string;
  /** Returns the recipe with settings as `key=value`; all others are small and fast. */
  recipe(...overrides: readonly string[]): Recipe;
}

const TEXT = [
  'model: model',
  'method: spsft',
  // Rows chosen by scores, which pages and charts show.
  'trains: rows',
  'r: 8',
  'data:',
  '  train: train.jsonl',
  '  eval: heldout.jsonl',
  '  prompt: "{text}:"',
  'max_length: 48',
  'num_train_epochs: 2',
  'per_device_train_batch_size: 4',
  'learning_rate: 5.0e-3',
  'eval_strategy: "no"',
  // The cache folder is the user's own, because the engine is installed there.
  'importance: {cache: false}',
  '',
].join('\n');

/**
 * Puts samples in several length buckets or in one. A run compiles a step per bucket, which takes most of the time of a small run on PJRT.
 */
export type Lengths = 'several' | 'one';

/** Writes the task. @param lengths of the training samples */
export function makeTinyTask({ lengths = 'several' }: { readonly lengths?: Lengths } = {}): TinyTask {
  const folder = mkdtempSync(join(tmpdir(), 'rowtune-tiny-'));
  mkdirSync(join(folder, 'model'));
  for (const part of ['llama', 'tiny-tokenizer']) cpSync(join(golden, part), join(folder, 'model'), { recursive: true });
  writeFileSync(join(folder, 'train.jsonl'), samples(0, 24, lengths === 'several' ? 20 : 4));
  writeFileSync(join(folder, 'heldout.jsonl'), samples(24, 34, 20));
  return {
    folder,
    text: TEXT,
    context: { cacheDir, baseDir: folder, hub: { offline: true } },
    recipe: (...overrides) => recipeIn(TEXT, { overrides }),
  };
}

/** Returns samples whose lengths differ by up to `most` tokens; with a small value, all are in one bucket. */
const samples = (from: number, to: number, most: number): string =>
  Array.from({ length: to - from }, (_, i) => {
    const n = from + i;
    const text = n % 2 === 0 ? `lunch at ${n}` : `WIN $$$ now ${'!'.repeat(n % most)}`;
    return `${JSON.stringify({ text, label: n % 2 === 0 ? 'ham' : 'spam' })}\n`;
  }).join('');
