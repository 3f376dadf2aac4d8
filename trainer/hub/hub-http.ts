/** Requests to the hub: redirects followed by hand and bounded, the token sent to the hub's own host only, failures told apart. */

import { messageOf } from '../protocol/error-facts.ts';
import { HubError } from './hub-error.ts';

/** The hub answers with one or two (to its storage). */
const MAX_REDIRECTS = 5;
/** A list of files with sizes; 100 000 files take some 20 MB. */
const MAX_JSON_BYTES = 64 * 1024 * 1024;
/** No answer, or no byte of it, for this long: the connection is dead. */
export const STALL_TIMEOUT_MS = 60_000;

export interface HubClient {
  /** For example `https://huggingface.co`, without a slash at the end. */
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * The final answer, of status 2xx (or 416, for a range behind the end).
 * @throws HubError for every other status and for a network that fails; transient where a retry can help
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
      const next = new URL(location, current);
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

/** The same for a short answer, which must be there as a whole within `STALL_TIMEOUT_MS`. @throws HubError as `request` does */
export function requestSoon(client: HubClient, url: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  const timeout = AbortSignal.timeout(STALL_TIMEOUT_MS);
  return request(client, url, headers, client.signal === undefined ? timeout : AbortSignal.any([client.signal, timeout]));
}

/** @throws HubError also when the body is too large or not JSON */
export async function requestJson(client: HubClient, url: string): Promise<unknown> {
  const response = await requestSoon(client, url);
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body ?? []) {
      size += chunk.length;
      if (size > MAX_JSON_BYTES)
        throw new HubError('server', `${new URL(url).host} answers with more than ${MAX_JSON_BYTES} bytes of JSON`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof HubError ? error : networkError(new URL(url), error);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw new HubError('server', `${new URL(url).host} answers with something that is not JSON: check the endpoint`, { cause: error });
  }
}

async function send(url: URL, headers: Record<string, string>, signal: AbortSignal | undefined): Promise<Response> {
  try {
    return await fetch(url, { headers, redirect: 'manual', signal: signal ?? null });
  } catch (error) {
    throw networkError(url, error);
  }
}

/** The reason of a failed fetch hides in its cause. @param instead what else can be done */
export function networkError(url: URL, error: unknown, instead = ', or use a local folder'): HubError {
  const cause = error instanceof Error ? error.cause : undefined;
  const reason = cause instanceof Error && cause.message !== '' ? cause.message : messageOf(error);
  const message = `${url.host} cannot be reached (${reason}): check the network or proxy (Node 24 with NODE_USE_ENV_PROXY=1 uses HTTPS_PROXY)${instead}`;
  return new HubError('offline', message, { transient: true, cause: error });
}

/** Whether an answer of this status may be another one later. */
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
