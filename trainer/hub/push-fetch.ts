/** The `fetch` of uploads: counts bytes as they are sent, and retries requests that may be repeated. */
import { isRecord } from '../narrow.ts';
import { type RetryOptions, withRetries } from './hub-download.ts';
import { HubError } from './hub-error.ts';
import { isPassing, networkError } from './hub-http.ts';

export interface PushFetchParams extends RetryOptions {
  /** Receives the bytes of a large file's content that were sent; negative after a failed attempt, because they are sent again. */
  readonly onBytes: (bytes: number) => void;
}

/** Resolves with an answer of status 2xx, or of a status that a retry would not change. @throws HubError for a network failure */
export function pushFetch({ onBytes, ...retries }: PushFetchParams): typeof fetch {
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const once = (): Promise<Response> => sendOnce(url, init, { onBytes, signal: retries.signal });
    return isRepeatable(url, init) ? withRetries(retries, once) : once();
  };
}

/** True if a request may be repeated. A commit whose answer was lost may have succeeded, so it is not sent again. */
const isRepeatable = ({ pathname }: URL, init: RequestInit | undefined): boolean =>
  init?.method !== 'POST' || /\/preupload\/|\/objects\/batch$/.test(pathname);

async function sendOnce(
  url: URL,
  init: RequestInit | undefined,
  { onBytes, signal }: Pick<PushFetchParams, 'onBytes' | 'signal'>,
): Promise<Response> {
  let left = 0;
  const count = (bytes: number): void => {
    left += bytes;
    onBytes(bytes);
  };
  try {
    const response = await fetch(url, init?.body instanceof Blob && isContent(init) ? { ...init, ...countedBody(init.body, count) } : init);
    if (!isPassing(response.status)) return response;
    await response.body?.cancel();
    throw new HubError('server', `${url.host} answers ${response.status} for ${url.pathname}: try again later`, { transient: true });
  } catch (error) {
    onBytes(-left);
    signal?.throwIfAborted();
    // The library aborts the other parts of a file if one fails.
    init?.signal?.throwIfAborted();
    if (error instanceof HubError) throw error;
    throw networkError(url, error, '');
  }
}

/** True for requests with the content of a large file, which the library marks. */
const isContent = (init: RequestInit): boolean => 'progressHint' in init && isRecord(init.progressHint) && 'path' in init.progressHint;

/** The content of a large file as a body that reports each chunk sent. Storage requires its length in advance. */
function countedBody(content: Blob, onBytes: (bytes: number) => void): RequestInit {
  const counted = new TransformStream<Uint8Array, Uint8Array>({
    transform: (chunk, controller) => {
      onBytes(chunk.length);
      controller.enqueue(chunk);
    },
  });
  return { body: content.stream().pipeThrough(counted), duplex: 'half', headers: { 'content-length': String(content.size) } };
}
