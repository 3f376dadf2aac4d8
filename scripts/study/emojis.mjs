/** The group of an emoji by its English name: "tram" belongs to travel and places (npm package emojibase-data; MIT). */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { shuffled, writeHalves } from './halves.mjs';
import { ensurePackage } from './npm-file.mjs';

const PACKAGE = { name: 'emojibase-data@17.0.0', what: 'names of emojis (7 MB)', as: 'emojis', has: 'en' };
/**
 * Groups by number in meta/groups.json. Parts of emojis are omitted because they have no meaning of their own, and flags because their
 * names all start alike.
 */
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

/** @returns {{ train: string, heldOut: string }} files of {"text", "label"}, written on the first call */
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
