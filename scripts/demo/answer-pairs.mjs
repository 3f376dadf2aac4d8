/** Pairs of answers about mails of the Spam Assassin corpus: the better one is JSON that a program can read, the worse one says the same in a sentence. */
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { mailsOf, mulberry32, shuffle, writeLines } from './spam-data.mjs';

/** Enough to learn from in the minutes that a demo has. */
const SIZES = { train: 120, heldOut: 60 };
const SEED = 42;
/** Characters of a mail: about 50 tokens. */
const MAIL = 160;

/** @returns {{ train: string, heldOut: string }} paths of two files of lines {"prompt", "chosen", "rejected"}, written at the first call */
export function ensureAnswerPairs(folder) {
  const split = `${SIZES.train}-${SIZES.heldOut}`;
  const train = path.join(folder, `train-${split}.jsonl`);
  const heldOut = path.join(folder, `heldout-${split}.jsonl`);
  if (existsSync(train) && existsSync(heldOut)) return { train, heldOut };
  const perLabel = (SIZES.train + SIZES.heldOut) / 2;
  const random = mulberry32(SEED);
  const chosen = ['ham', 'spam'].map(label => shuffle(mailsOf(label), random).slice(0, perLabel).map(pairOf));
  mkdirSync(folder, { recursive: true });
  writeLines(
    train,
    shuffle(
      chosen.flatMap(pairs => pairs.slice(SIZES.heldOut / 2)),
      random,
    ),
  );
  writeLines(
    heldOut,
    shuffle(
      chosen.flatMap(pairs => pairs.slice(0, SIZES.heldOut / 2)),
      random,
    ),
  );
  return { train, heldOut };
}

function pairOf({ text, label }) {
  const question = `Is this e-mail spam or ham?\n\n${text.slice(0, MAIL)}\n\nAnswer spam or ham.`;
  const says = content => [{ role: 'assistant', content }];
  return {
    prompt: [{ role: 'user', content: question }],
    chosen: says(`{"label": "${label}"}`),
    rejected: says(`This e-mail is ${label}.`),
  };
}
