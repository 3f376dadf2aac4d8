/** An error of the daemon with a message for the user; the connection transports its code and hint as data. */
export type DaemonErrorCode =
  | 'daemon-running'
  | 'daemon-missing'
  | 'daemon-gone'
  | 'daemon-refused'
  | 'daemon-full'
  | 'daemon-unresponsive'
  | 'daemon-door'
  | 'state-unwritable'
  | 'not-recorded'
  | 'daemon-untrusted'
  | 'protocol-mismatch'
  | 'not-initialized'
  | 'shutting-down'
  | 'bad-params'
  | 'bad-answer'
  | 'bad-recipe'
  | 'job-missing'
  | 'queue-full'
  | 'run-missing'
  | 'run-busy'
  | 'model-missing';

export interface DaemonErrorOptions {
  readonly hint?: string;
  readonly cause?: unknown;
  /** Further fields for programs, in addition to code and hint. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export class DaemonError extends Error {
  override name = 'DaemonError';
  readonly code: DaemonErrorCode | (string & {});
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: DaemonErrorCode | (string & {}), message: string, { hint, cause, details = {} }: DaemonErrorOptions = {}) {
    super(message, { cause });
    this.code = code;
    this.hint = hint;
    this.details = details;
  }
}
