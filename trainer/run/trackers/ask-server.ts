/** One request to the server of a tracker: JSON in, JSON out, within a time. */
import { recordIn } from '../../narrow.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { TrackerError } from './tracker.ts';

const REQUEST_MS = 10_000;
/** Far above an answer to one request. */
const MAX_SHOWN = 300;

export interface ServerRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent by POST; without one, the request is a GET. */
  readonly body?: object;
}

/** @throws TrackerError with what the server says, or that it can't be reached */
export async function askServer({ url, headers, body }: ServerRequest): Promise<Readonly<Record<string, unknown>>> {
  // A query may hold a token.
  const shown = url.split('?')[0];
  const response = await fetch(url, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(REQUEST_MS),
  }).catch((error: unknown) => {
    const { cause } = error instanceof Error ? error : { cause: undefined };
    throw new TrackerError(`${shown} cannot be reached: ${messageOf(cause ?? error)}`);
  });
  const text = await response.text();
  const value = recordIn(text) ?? {};
  if (response.ok) return value;
  const said = [value.message, value.error].find(each => typeof each === 'string') ?? text.slice(0, MAX_SHOWN);
  throw new TrackerError(
    `${shown} answered with status ${response.status}: ${String(said)}`,
    typeof value.error_code === 'string' ? value.error_code : undefined,
  );
}
