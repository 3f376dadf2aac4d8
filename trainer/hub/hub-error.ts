/** The errors of a connection to the hub. */

export type HubFailure =
  /** The terms are not accepted, the token is missing or lacks access. */
  | 'gated'
  /** No such repository, revision or file. */
  | 'missing'
  /** Nothing was asked of the network, or it could not be reached. */
  | 'offline'
  /** The transfer broke off again and again; the part that came is kept. */
  | 'interrupted'
  /** The received content is not what the hub announced. */
  | 'damaged'
  | 'disk'
  /** Another process is downloading the same model. */
  | 'busy'
  | 'server'
  /** It sends whole files alone. */
  | 'no-ranges'
  /** Everyone can read the repository, which nobody confirmed. */
  | 'public';

export class HubError extends Error {
  override name = 'HubError';
  readonly failure: HubFailure;
  /** Whether trying the same again can help. */
  readonly transient: boolean;

  constructor(failure: HubFailure, message: string, options: { readonly transient?: boolean; readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.failure = failure;
    this.transient = options.transient ?? false;
  }
}
