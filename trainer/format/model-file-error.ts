/** The error of this room: a model's file is missing, damaged, inconsistent or unsupported. */

import path from 'node:path';

/** One problem in a file. */
export interface FileProblem {
  /** The problem in a sentence, without the file's name. */
  readonly message: string;
  readonly tensor?: string;
}

/** Maximum number of problems shown, so that the message for a file with a million broken tensors stays readable. */
const MAX_PROBLEMS_SHOWN = 20;

const showProblem = (p: FileProblem): string => (p.tensor === undefined ? p.message : `tensor "${clip(p.tensor)}": ${p.message}`);

/** Shortens long names and escapes control characters, since names come from outside. */
export const clip = (text: string, limit = 120): string => {
  const shown = JSON.stringify(text.slice(0, limit)).slice(1, -1);
  return text.length > limit ? `${shown}…` : shown;
};

/** An error that states the file, all its problems, and how to fix them. */
export class ModelFileError extends Error {
  override name = 'ModelFileError';
  readonly file: string;
  readonly problems: readonly FileProblem[];
  readonly remedy: string;
  /** True if the file could not be read, so its contents are unknown. */
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

  /** The first problem and the number of others, as a sentence without a period, for messages that name the folder themselves. */
  get summary(): string {
    const [first, ...more] = this.problems;
    const rest = more.length === 0 ? '' : `, and ${more.length} more`;
    return `${path.basename(this.file)}: ${first === undefined ? 'is damaged' : showProblem(first)}${rest}`;
  }
}
