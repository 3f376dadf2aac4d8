/** Errors that end a command, and the exit statuses with their meaning for scripts. */
import { AGAIN_STATUS } from '../slurm/job-script.ts';

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  /** A worker of a sweep had to stop and has saved; it continues when it is scheduled again. */
  again: AGAIN_STATUS,
  interrupted: 130,
} as const;

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

export interface CliErrorOptions {
  /** A stable code in kebab-case. */
  readonly code: string;
  /** The exit status; if left out, the code implies usage or failed. */
  readonly exitStatus?: ExitStatus;
  /** How to fix it, preferably a command. */
  readonly hint?: string;
  /** Further fields for `--json`, in addition to code, message and hint. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Codes of errors that the caller caused, wherever they were detected: here, in a worker, or in the daemon. */
const USAGE_CODES: readonly string[] = ['bad-recipe', 'invalid-override', 'model-missing'];

/** Ends a command with a message for the user and without a stack trace. */
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
