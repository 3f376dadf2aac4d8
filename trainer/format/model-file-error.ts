/** The one error of this room: a model's file is missing, damaged, lying or not supported. */

import path from 'node:path';

/** One thing that is wrong in a file. */
export interface FileProblem {
  /** The problem, in a sentence without the file's name. */
  readonly message: string;
  readonly tensor?: string;
}

/** At most this many problems are printed, so that a file of a million broken tensors stays readable. */
const MAX_PROBLEMS_SHOWN = 20;

const showProblem = (p: FileProblem): string => (p.tensor === undefined ? p.message : `tensor "${clip(p.tensor)}": ${p.message}`);

/** Names come from outside: cut long ones and show control characters as escapes. */
export const clip = (text: string, limit = 120): string => {
  const shown = JSON.stringify(text.slice(0, limit)).slice(1, -1);
  return text.length > limit ? `${shown}…` : shown;
};

/** Says which file, all that is wrong with it, and what to do about it. */
export class ModelFileError extends Error {
  override name = 'ModelFileError';
  readonly file: string;
  readonly problems: readonly FileProblem[];
  readonly remedy: string;
  /** Whether the file could not be read, so that nothing is known about it. */
  readonly isUnread: boolean;

  constructor(file: string, problems: readonly FileProblem[] | string, remedy: string, { isUnread = false } = {}) {
    const all = typeof problems === 'string' ? [{ message: problems }] : problems;
    const shown = all.slice(0, MAX_PROBLEMS_SHOWN).map(showProblem);
    const more = all.length > MAX_PROBLEMS_SHOWN ? [`and ${all.length - MAX_PROBLEMS_SHOWN} more`] : [];
    const body = shown.length === 1 ? ` ${shown[0]}` : [...shown, ...more].map(line => `\n  - ${line}`).join('');
    super(`${file}:${body}${shown.length === 1 ? '. ' : '\n'}${remedy}`);
    this.file = file;
    this.problems = all;
    this.remedy = remedy;
    this.isUnread = isUnread;
  }

  /** The first problem and the number of the others, in a sentence without a full stop, for a place that names the folder itself. */
  get summary(): string {
    const [first, ...more] = this.problems;
    const rest = more.length === 0 ? '' : `, and ${more.length} more`;
    return `${path.basename(this.file)}: ${first === undefined ? 'is damaged' : showProblem(first)}${rest}`;
  }
}
