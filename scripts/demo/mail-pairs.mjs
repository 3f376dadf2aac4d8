/** Pairs of subjects and mails from the Spam Assassin corpus, for finding the mail that belongs to a subject. */
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { mulberry32, readMails, shuffle, writeLines } from './spam-data.mjs';

/** Number of samples: enough to learn from in the minutes that a demo has. */
const SIZES = { train: 960, heldOut: 320 };
const SEED = 42;
/** Minimum length of a subject; shorter ones say little. */
const SHORTEST_SUBJECT = 12;
/** Characters of a mail: about 100 tokens. */
const BODY = 500;

/** @returns {{ train: string, heldOut: string }} paths of two files of lines {"anchor", "positive"}, written on the first call */
export function ensureMailPairs(folder) {
  const train = path.join(folder, `train-${SIZES.train}.jsonl`);
  const heldOut = path.join(folder, `heldout-${SIZES.heldOut}.jsonl`);
  if (existsSync(train) && existsSync(heldOut)) return { train, heldOut };
  const pairs = readMails('ham')
    .filter(({ subject }) => subject.length >= SHORTEST_SUBJECT)
    .map(({ subject, body }) => ({ anchor: subject, positive: body.slice(0, BODY) }));
  const chosen = shuffle(pairs, mulberry32(SEED)).slice(0, SIZES.train + SIZES.heldOut);
  mkdirSync(folder, { recursive: true });
  writeLines(train, chosen.slice(SIZES.heldOut));
  writeLines(heldOut, chosen.slice(0, SIZES.heldOut));
  return { train, heldOut };
}
