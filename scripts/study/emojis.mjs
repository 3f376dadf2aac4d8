/** The group of an emoji by its English name: "tram" is of travel and places (npm package emojibase-data; MIT). */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { shuffled, writeHalves } from './halves.mjs';
import { ensurePackage } from './npm-file.mjs';

const PACKAGE = { name: 'emojibase-data@17.0.0', what: 'names of emojis (7 MB)', as: 'emojis', has: 'en' };
/** By the number of the group in meta/groups.json; parts of emojis have no meaning of their own, and all names of flags begin alike. */
const GROUPS = new Map([
  [0, 'smileys'],
  [1, 'people'],
  [3, 'nature'],
  [4, 'food'],
  [5, 'travel'],
  [6, 'activities'],
  [7, 'objects'],
  [8, 'symbols'],
]);
const TRAIN = 1000;

/** @returns {{ train: string, heldOut: string }} files of {"text", "label"}, written at the first call */
export function ensureEmojis(folder) {
  const source = ensurePackage(folder, PACKAGE);
  return writeHalves(folder, 'emojis', () => {
    const all = JSON.parse(readFileSync(path.join(source, 'en', 'data.json'), 'utf8'));
    const samples = shuffled(all.filter(({ group }) => GROUPS.has(group))).map(({ label, group }) => ({
      text: label,
      label: GROUPS.get(group),
    }));
    return { train: samples.slice(0, TRAIN), heldOut: samples.slice(TRAIN) };
  });
}
