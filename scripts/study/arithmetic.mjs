/**
 * Sums and differences as word problems with one correct answer each. They are generated from a fixed seed, so only this project's license
 * applies.
 */
import { mkdirSync } from 'node:fs';
import { shuffled, writeHalves } from './halves.mjs';

const SAMPLES = { train: 400, heldOut: 100 };
/** Upper bound of the operands, so that an answer has at most two digits. */
const BELOW = 50;

const NAMES = ['Ann', 'Ben', 'Cleo', 'Dan', 'Eve', 'Finn', 'Gina', 'Hugo'];
const THINGS = ['apples', 'books', 'coins', 'stamps', 'pens', 'shells', 'cards', 'eggs'];
const SUMS = [
  (name, a, things, b) => `${name} has ${a} ${things} and buys ${b} more. How many ${things} does ${name} have now?`,
  (name, a, things, b) => `${name} finds ${a} ${things} on Monday and ${b} on Tuesday. How many ${things} is that?`,
];
const DIFFERENCES = [
  (name, a, things, b) => `${name} has ${a} ${things} and gives away ${b}. How many ${things} are left?`,
  (name, a, things, b) => `There are ${a} ${things} in a box, and ${name} takes out ${b}. How many ${things} stay in the box?`,
];

/**
 * @returns {{ train: string, heldOut: string }} files of {"prompt", "completion"}, written on the first call; no two questions have the same numbers
 */
export function ensureArithmetic(folder) {
  mkdirSync(folder, { recursive: true });
  return writeHalves(folder, 'arithmetic', questions);
}

/** Returns a question for every pair of numbers, either a sum or a difference; held-out pairs are in no training question. */
export function questions() {
  const pairs = [];
  for (let small = 2; small < BELOW; small++) for (let large = small; large < BELOW; large++) pairs.push({ small, large });
  const all = shuffled(pairs).map(({ small, large }, i) => {
    const [name, things] = [NAMES[i % NAMES.length], THINGS[Math.floor(i / NAMES.length) % THINGS.length]];
    const isSum = i % 2 === 0 || small === large;
    const forms = isSum ? SUMS : DIFFERENCES;
    const question = forms[Math.floor(i / 2) % forms.length](name, large, things, small);
    return { prompt: `${question} Answer with the number alone.`, completion: String(isSum ? large + small : large - small) };
  });
  return { train: all.slice(0, SAMPLES.train), heldOut: all.slice(SAMPLES.train, SAMPLES.train + SAMPLES.heldOut) };
}
