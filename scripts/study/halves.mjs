/** Training and held-out samples as files with one JSON object per line, the same on every machine. */
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { mulberry32, shuffle } from '../demo/spam-data.mjs';

const SEED = 42;

/** Shuffles in an order that depends only on the number of items. */
export const shuffled = items => shuffle(items, mulberry32(SEED));

/** Splits items: the first ones are for training, those after them are held out. @param {{ train: number, heldOut: number }} counts */
export const splitAt = (items, { train, heldOut }) => ({ train: items.slice(0, train), heldOut: items.slice(train, train + heldOut) });

/** Joins splits of several kinds, in an order that depends only on their sizes. */
export const joinedHalves = halves => ({
  train: shuffled(halves.flatMap(({ train }) => train)),
  heldOut: shuffled(halves.flatMap(({ heldOut }) => heldOut)),
});

/** Returns the passages of `count` words in a text, without an incomplete last one. @returns {string[]} */
export function passagesOf(text, count) {
  const words = text.split(/\s+/);
  return Array.from({ length: Math.floor(words.length / count) }, (_, i) => words.slice(i * count, (i + 1) * count).join(' '));
}

/**
 * Writes both files. @param {() => { train: object[], heldOut: object[] }} make called if files are missing @returns {{ train: string,
 * heldOut: string }}
 */
export function writeHalves(folder, name, make) {
  const files = { train: path.join(folder, `${name}-train.jsonl`), heldOut: path.join(folder, `${name}-heldout.jsonl`) };
  if (existsSync(files.train) && existsSync(files.heldOut)) return files;
  const halves = make();
  for (const half of ['train', 'heldOut']) {
    writeFileSync(`${files[half]}.tmp`, halves[half].map(sample => `${JSON.stringify(sample)}\n`).join(''));
    renameSync(`${files[half]}.tmp`, files[half]);
  }
  return files;
}
