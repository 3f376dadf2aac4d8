/** The errors of a connection to the hub. */

export type HubFailure =
  /** The terms are not accepted, or the token is missing or lacks access. */
  | 'gated'
  /** There is no such repository, revision or file. */
  | 'missing'
  /** The network was not used, or could not be reached. */
  | 'offline'
  /** The transfer was interrupted repeatedly; the received part is kept. */
  | 'interrupted'
  /** The received content does not match the hub's metadata. */
  | 'damaged'
  | 'disk'
  /** Another process is downloading the same model. */
  | 'busy'
  | 'server'
  /** The server sends only whole files. */
  | 'no-ranges'
  /** The repository is public, and the user has not confirmed this. */
  | 'public';

export class HubError extends Error {
  override name = 'HubError';
  readonly failure: HubFailure;
  /** Whether a retry can help. */
  readonly transient: boolean;

  constructor(failure: HubFailure, message: string, options: { readonly transient?: boolean; readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.failure = failure;
    this.transient = options.transient ?? false;
  }
}
