/** Sends one request to the server of a tracker, with a time limit: JSON in, JSON out. */
import { readBody } from '../../files/read-body.ts';
import { MAX_JSON_BYTES } from '../../files/regular-file.ts';
import { recordIn } from '../../narrow.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { startAnswerTimeout } from './patience.ts';
import { TrackerError } from './tracker.ts';

/** Time limit per request; generous, because a run waits for requests only at its end, and a server may be busy. */
const REQUEST_MS = 60_000;
/** Maximum number of characters of an answer to show in an error. */
const MAX_SHOWN = 300;

export interface ServerRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The body, sent by POST; without one, the request is a GET. */
  readonly body?: object;
}

/** @throws TrackerError with the server's message, or if the server cannot be reached */
export async function askServer({ url, headers, body }: ServerRequest): Promise<Readonly<Record<string, unknown>>> {
  // A query may contain a token.
  const shown = url.split('?')[0];
  const { ok, status, text } = await answerOf({ url, headers, body }).catch((error: unknown) => {
    const { cause } = error instanceof Error ? error : { cause: undefined };
    throw new TrackerError(`${shown} cannot be reached: ${messageOf(cause ?? error)}`);
  });
  const value = recordIn(text) ?? {};
  if (ok) return value;
  const said = [value.message, value.error].find(each => typeof each === 'string') ?? text.slice(0, MAX_SHOWN);
  throw new TrackerError(
    `${shown} answered with status ${status}: ${String(said)}`,
    typeof value.error_code === 'string' ? value.error_code : undefined,
  );
}

async function answerOf({ url, headers, body }: ServerRequest): Promise<Pick<Response, 'ok' | 'status'> & { readonly text: string }> {
  const silence = new AbortController();
  const patience = startAnswerTimeout(REQUEST_MS, () => silence.abort(new Error(`no answer within ${REQUEST_MS / 1000} s`)));
  try {
    const response = await fetch(url, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: silence.signal,
    });
    const { bytes, isCut } = await readBody(response, MAX_JSON_BYTES);
    if (isCut) throw new Error(`it answers with more than ${MAX_JSON_BYTES} bytes`);
    return { ok: response.ok, status: response.status, text: Buffer.from(bytes.buffer).toString('utf8') };
  } finally {
    patience.stop();
  }
}
