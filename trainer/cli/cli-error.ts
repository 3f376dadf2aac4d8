/** How a command ends that did not succeed, and what each status means to a script. */

export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

export interface CliErrorOptions {
  /** Stable, kebab-case. */
  readonly code: string;
  /** Left out, what the code says: usage or failed. */
  readonly exitStatus?: ExitStatus;
  /** What to do about it, best a command. */
  readonly hint?: string;
  /** More that `--json` prints, beside code, message and hint. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** What the caller is to blame for, wherever it was found out: here, in a worker, by the daemon. */
const USAGE_CODES: readonly string[] = ['bad-recipe', 'invalid-override'];

/** Ends a command with a message for the user and without a stack. */
export class CliError extends Error {
  override name = 'CliError';
  readonly code: string;
  readonly exitStatus: ExitStatus;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(message: string, { code, exitStatus, hint, details = {} }: CliErrorOptions) {
    super(message);
    this.code = code;
    this.exitStatus = exitStatus ?? (USAGE_CODES.includes(code) ? EXIT.usage : EXIT.failed);
    this.hint = hint;
    this.details = details;
  }
}
