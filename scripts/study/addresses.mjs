/** US addresses and their parts as JSON, from the labels that people gave to their words (see scripts/demo/addresses.mjs). */
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ensureAddresses } from '../demo/addresses.mjs';
import { writeHalves } from './halves.mjs';

const SAMPLES = { train: 400, heldOut: 100 };
/** Maximum length of an address; a longer one would not fit in a sample of the study. */
const MAX_CHARACTERS = 56;
const QUESTION = 'Write this address as JSON with the keys street, city, state and zip.';
/** The keys of an answer by label; all words with other labels belong to the street. */
const KEYS = { PlaceName: 'city', StateName: 'state', ZipCode: 'zip' };

/** @returns {Promise<{ train: string, heldOut: string }>} files of {"prompt", "completion"}, written on the first call */
export async function ensureAddressParts(folder) {
  const source = path.join(folder, 'addresses');
  mkdirSync(source, { recursive: true });
  const files = await ensureAddresses(source);
  return writeHalves(folder, 'address-parts', () => ({
    train: samples(files.train).slice(0, SAMPLES.train),
    heldOut: samples(files.heldOut).slice(0, SAMPLES.heldOut),
  }));
}

const samples = file =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .flatMap(line => {
      const { tokens, tags } = JSON.parse(line);
      const address = tokens.join(' ');
      const parts = partsOf(tokens, tags);
      const isWhole = ['street', 'city', 'state'].every(key => parts[key] !== undefined);
      return isWhole && address.length <= MAX_CHARACTERS ? [{ prompt: `${QUESTION}\n${address}`, completion: JSON.stringify(parts) }] : [];
    });

/** Returns the words of each key in order, without punctuation at the ends. */
function partsOf(tokens, tags) {
  const words = { street: [], city: [], state: [], zip: [] };
  for (const [i, tag] of tags.entries()) words[KEYS[tag.slice(2)] ?? 'street'].push(tokens[i]);
  const texts = Object.entries(words).map(([key, own]) => [key, own.join(' ').replace(/^[\s,.;]+|[\s,.;]+$/g, '')]);
  return Object.fromEntries(texts.filter(([, text]) => text !== ''));
}
