/**
 * Sends requests to the hub: follows a limited number of redirects manually, sends the token only to the hub's own host, and distinguishes
 * failures.
 */

import { type ReadBody, readBody } from '../files/read-body.ts';
import { messageOf } from '../protocol/error-facts.ts';
import { HubError } from './hub-error.ts';

/** Maximum number of redirects; the hub answers with one or two (to its storage). */
const MAX_REDIRECTS = 5;
/** Maximum size of a JSON answer: a list of 100 000 files with sizes takes about 20 MB. */
const MAX_JSON_BYTES = 64 * 1024 * 1024;
/** Time without an answer, or without a byte of it, after which a connection counts as dead. */
export const STALL_TIMEOUT_MS = 60_000;

export interface HubClient {
  /** For example `https://huggingface.co`, without a trailing slash. */
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * The final answer, with status 2xx (or 416, for a range beyond the end).
 * @throws HubError for every other status and for a network failure; transient if a retry can help
 */
export async function request(
  client: HubClient,
  url: string,
  headers: Readonly<Record<string, string>> = {},
  signal?: AbortSignal,
): Promise<Response> {
  const origin = new URL(client.endpoint).origin;
  let current = new URL(url);
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const authorization: Record<string, string> =
      client.token !== undefined && current.origin === origin ? { authorization: `Bearer ${client.token}` } : {};
    const response = await send(
      current,
      { 'accept-encoding': 'identity', 'user-agent': 'rowtune', ...headers, ...authorization },
      signal ?? client.signal,
    );
    const location = response.headers.get('location');
    if (response.status >= 300 && response.status < 400 && location !== null) {
      await response.body?.cancel();
      const next = URL.canParse(location, current.href) ? new URL(location, current) : undefined;
      if (next === undefined)
        throw new HubError('server', `${current.host} redirects to something that is not an address: check the endpoint`);
      if (next.protocol !== 'https:' && !(next.protocol === 'http:' && current.protocol === 'http:')) {
        throw new HubError('server', `${current.host} redirects to ${next.protocol}//${next.host}, which is not https: check the endpoint`);
      }
      current = next;
      continue;
    }
    if (response.ok || response.status === 416) return response;
    await response.body?.cancel();
    throw statusError(client, current, response);
  }
  throw new HubError('server', `${new URL(url).host} redirects more than ${MAX_REDIRECTS} times: check the endpoint`);
}

/** The same for a short answer, which must arrive completely within `STALL_TIMEOUT_MS`. @throws HubError as `request` does */
export function requestSoon(client: HubClient, url: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  const timeout = AbortSignal.timeout(STALL_TIMEOUT_MS);
  return request(client, url, headers, client.signal === undefined ? timeout : AbortSignal.any([client.signal, timeout]));
}

/** @throws HubError as `request` does, and as {@link jsonOf} */
export const requestJson = async (client: HubClient, url: string): Promise<unknown> => jsonOf(await requestSoon(client, url), url);

/** The value of an answer. @throws HubError if the connection breaks, or the body is too large or not JSON */
export async function jsonOf(response: Response, url: string): Promise<unknown> {
  const { host } = new URL(url);
  const { bytes, isCut } = await bodyOf(response, url, MAX_JSON_BYTES);
  if (isCut) throw new HubError('server', `${host} answers with more than ${MAX_JSON_BYTES} bytes of JSON`);
  try {
    return JSON.parse(Buffer.from(bytes.buffer).toString('utf8'));
  } catch (error) {
    throw new HubError('server', `${host} answers with something that is not JSON: check the endpoint`, { cause: error });
  }
}

/** The first bytes of an answer. @throws HubError if the connection breaks */
export async function bodyOf(response: Response, url: string, maxBytes: number): Promise<ReadBody> {
  try {
    return await readBody(response, maxBytes);
  } catch (error) {
    throw networkError(new URL(url), error);
  }
}

async function send(url: URL, headers: Record<string, string>, signal: AbortSignal | undefined): Promise<Response> {
  try {
    return await fetch(url, { headers, redirect: 'manual', signal: signal ?? null });
  } catch (error) {
    throw networkError(url, error);
  }
}

/** The error for a failed fetch, whose reason is in its cause. @param instead what else the user can do */
export function networkError(url: URL, error: unknown, instead = ', or use a local folder'): HubError {
  const cause = error instanceof Error ? error.cause : undefined;
  const reason = cause instanceof Error && cause.message !== '' ? cause.message : messageOf(error);
  const message = `${url.host} cannot be reached (${reason}): check the network or proxy (Node 24 with NODE_USE_ENV_PROXY=1 uses HTTPS_PROXY)${instead}`;
  return new HubError('offline', message, { transient: true, cause: error });
}

/** True if a status is temporary. */
export const isPassing = (status: number): boolean => status === 408 || status === 429 || status >= 500;

function statusError(client: HubClient, url: URL, response: Response): HubError {
  const { status } = response;
  const what = url.pathname;
  if (status === 401 || status === 403) {
    const advice =
      client.token === undefined
        ? 'it is gated, private or does not exist: check the name; if it is gated, accept its terms on its page and set HF_TOKEN to an access token'
        : 'the token is refused: check that it is valid, that it may read this repository, and that you accepted its terms on its page';
    return new HubError('gated', `${url.host} answers ${status} for ${what}: ${advice}`);
  }
  if (status === 404) return new HubError('missing', `${url.host} has no ${what}: check the name, the revision and the spelling`);
  const transient = isPassing(status);
  return new HubError('server', `${url.host} answers ${status} for ${what}${transient ? ': try again later' : ''}`, { transient });
}
