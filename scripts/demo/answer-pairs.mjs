/**
 * Pairs of answers about mails of the Spam Assassin corpus: the better one is JSON for programs, the worse one says the same in a sentence.
 */
import { ensureSplit } from './spam-data.mjs';

/** Number of samples: enough to learn from in the minutes that a demo has. */
const SIZES = { train: 120, heldOut: 60 };
/** Characters of a mail: about 50 tokens. */
const MAIL = 160;

/** @returns {{ train: string, heldOut: string }} paths of two files of lines {"prompt", "chosen", "rejected"}, written on the first call */
export const ensureAnswerPairs = folder => ensureSplit(folder, SIZES, pairOf);

function pairOf({ text, label }) {
  const question = `Is this e-mail spam or ham?\n\n${text.slice(0, MAIL)}\n\nAnswer spam or ham.`;
  const says = content => [{ role: 'assistant', content }];
  return {
    prompt: [{ role: 'user', content: question }],
    chosen: says(`{"label": "${label}"}`),
    rejected: says(`This e-mail is ${label}.`),
  };
}
