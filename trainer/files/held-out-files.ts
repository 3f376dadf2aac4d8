/** Finds, by their names, the files of held-out data that belong to a file of training data. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';

/** Words for held-out data, preferred ones first. Test data comes last, because it is meant for the final result. */
const HELD_OUT = ['h[eo]ld[-_ ]?out', 'val(?:id(?:ation)?)?', 'dev', 'eval(?:uation)?', 'test(?:ing)?'].map(asWord);
const TRAINING = asWord('train(?:ing)?');
/** Parts of a name that say nothing about its subject. */
const WITHOUT_SUBJECT = /(?<![a-z])(?:data(?:set)?|set|split|samples?)(?![a-z])|\d+-of-\d+/g;

function asWord(word: string): RegExp {
  return new RegExp(`(?<![a-z])${word}(?:s|set)?(?![a-z])`);
}

interface Entry {
  readonly name: string;
  readonly isFolder: boolean;
}

/** True if the name of a file suggests held-out data. */
export const isHeldOutName = (file: string): boolean => placeOf(stemOf(path.basename(file))) >= 0;

/**
 * Returns the names of held-out data for training data of this name: on the same subject (mails-val for mails-train), or without a
 * subject (heldout). Files have the same ending. For a folder, its own name must say that it is for training.
 */
export function heldOutNames(train: string, entries: readonly Entry[]): readonly string[] {
  const isFolder = entries.find(({ name }) => name === train)?.isFolder ?? false;
  const stem = stemOf(train);
  if (placeOf(stem) >= 0 || (isFolder && !TRAINING.test(stem))) return [];
  const subject = subjectOf(stem, TRAINING);
  return entries
    .filter(entry => entry.name !== train && entry.isFolder === isFolder && endingOf(entry.name) === endingOf(train))
    .map(({ name }) => ({ name, place: placeOf(stemOf(name)), about: subjectOf(stemOf(name), HELD_OUT[placeOf(stemOf(name))]) }))
    .filter(({ place, about }) => place >= 0 && (about === subject || about === ''))
    .sort((a, b) => Number(b.about === subject) - Number(a.about === subject) || a.place - b.place || a.name.localeCompare(b.name))
    .map(({ name }) => name);
}

/** Returns the paths of held-out data in the folder of the training data; none if there is no such file on this machine. */
export async function heldOutFiles(train: string): Promise<readonly string[]> {
  const { dir, base } = path.parse(train);
  const entries = await readdir(dir === '' ? '.' : dir, { withFileTypes: true }).catch(() => []);
  const known = entries.map(entry => ({ name: entry.name, isFolder: entry.isDirectory() }));
  return known.some(({ name }) => name === base) ? heldOutNames(base, known).map(name => path.join(dir, name)) : [];
}

const endingOf = (name: string): string => path.extname(name).toLowerCase();
const stemOf = (name: string): string => path.parse(name).name.toLowerCase();
const placeOf = (stem: string): number => HELD_OUT.findIndex(word => word.test(stem));
const subjectOf = (stem: string, word: RegExp | undefined): string =>
  (word === undefined ? stem : stem.replace(word, '')).replace(WITHOUT_SUBJECT, '').replace(/[^\p{L}\p{N}]+/gu, '');
