/** Samples to train on and held-out samples, as files with one JSON object per line, the same on every machine. */
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { mulberry32, shuffle } from '../demo/spam-data.mjs';

const SEED = 42;

/** In an order that depends on nothing but the number of items. */
export const shuffled = items => shuffle(items, mulberry32(SEED));

/** @param {() => { train: object[], heldOut: object[] }} make called if the files are missing @returns {{ train: string, heldOut: string }} */
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
