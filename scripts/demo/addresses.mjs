/**
 * US addresses with words labeled by people (number, street, place, state …), from the source package of `usaddress` 0.5.16 on PyPI, which
 * is under the MIT license (© 2014 The Atlanta Journal Constitution).
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { mulberry32, shuffle, writeLines } from './spam-data.mjs';
import { expectFile, fetchFromSources } from './wheel-file.mjs';

const PACKAGE = 'usaddress-0.5.16';
const LABELED = { name: 'labeled.xml', bytes: 428_370, sha256: 'dbd125fa01fbdbc4e25cce722c648ce4e224e4c9bdb9b5a14498aa8a042aee32' };
const HELD_OUT = 300;
const SEED = 42;
const ENTITIES = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&apos;': "'" };

/** @returns {Promise<{ train: string, heldOut: string }>} two files of lines {"tokens", "tags"}, written on the first call */
export async function ensureAddresses(folder) {
  const train = path.join(folder, 'train.jsonl');
  const heldOut = path.join(folder, `heldout-${HELD_OUT}.jsonl`);
  if (existsSync(train) && existsSync(heldOut)) return { train, heldOut };
  mkdirSync(folder, { recursive: true });
  await fetchFromSources({
    requirement: PACKAGE.replace('-', '=='),
    members: [`${PACKAGE}/training/${LABELED.name}`],
    folder,
    what: 'labeled US addresses (1 MB)',
    without: '',
    check: unpacked => expectFile(path.join(unpacked, LABELED.name), LABELED, PACKAGE),
  });
  const addresses = shuffle(readAddresses(readFileSync(path.join(folder, LABELED.name), 'utf8')), mulberry32(SEED));
  writeLines(train, addresses.slice(HELD_OUT));
  writeLines(heldOut, addresses.slice(0, HELD_OUT));
  return { train, heldOut };
}

/** Reads each address once, ignoring case, so that no copy is in both files. */
function readAddresses(xml) {
  const found = new Map();
  for (const [, content] of xml.matchAll(/<AddressString>(.*?)<\/AddressString>/gs)) {
    const words = [...content.matchAll(/<(\w+)>([^<]*)<\/\1>([^<]*)/g)].flatMap(([, label, text, after]) => wordsOf(label, text, after));
    const key = words.map(({ text }) => text.toLowerCase().replace(/\W/g, '')).join(' ');
    if (words.length > 0 && !found.has(key)) found.set(key, { tokens: words.map(({ text }) => text), tags: tagsOf(words) });
  }
  return [...found.values()];
}

/** Returns the words of a labeled span; punctuation after it belongs to its last word. */
function wordsOf(label, text, after) {
  const plain = `${text.trim()}${after.trim()}`.replace(/&\w+;/g, entity => ENTITIES[entity] ?? entity);
  return plain.split(/\s+/).flatMap(word => (word === '' ? [] : [{ label, text: word }]));
}

/** Returns the tags; neighboring words with the same label form one entity. */
const tagsOf = words => words.map(({ label }, i) => `${words[i - 1]?.label === label ? 'I' : 'B'}-${label}`);
