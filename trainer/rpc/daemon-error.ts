/** What the daemon refuses, in words for the user; over the connection its code and hint travel as data. */
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
  /** More for programs, beside code and hint. */
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
