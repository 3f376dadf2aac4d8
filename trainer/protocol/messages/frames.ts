/**
 * Checks frames from outside before vscode-jsonrpc reads them: it does not validate their shape, and a frame without `params` would end the
 * process.
 */

import type { Message } from 'vscode-jsonrpc';
import { isRecord } from '../../narrow.ts';

/** Maximum nesting depth; our messages are flatter. JSON.stringify recurses, so thousands of levels would exhaust its stack. */
const MAX_DEPTH = 100;
/** Maximum length of method names and string ids, which are echoed in answers and logs; ours are shorter than 40 characters. */
const MAX_NAME_CHARACTERS = 200;

/** Codes of JSON-RPC 2.0. */
const INVALID_REQUEST = -32600;
const INTERNAL_ERROR = -32603;

const CANCEL = '$/cancelRequest';
const PROGRESS = '$/progress';

export type Frame =
  | { readonly kind: 'message'; readonly message: Message }
  /** Valid JSON-RPC 2.0, but not a request of ours: it gets this answer, and the connection stays open. */
  | { readonly kind: 'refused'; readonly answer: Message }
  /** A notification or a response that no request waits for, or a malformed one. JSON-RPC answers neither. */
  | { readonly kind: 'ignored' }
  /** Not JSON-RPC 2.0: the sender is not a client. */
  | { readonly kind: 'foreign'; readonly reason: string };

type Fields = Readonly<Record<string, unknown>>;

export function readFrame(text: string): Frame {
  if (isTooDeep(text)) return { kind: 'foreign', reason: `nested more than ${MAX_DEPTH} levels deep` };
  const value = parse(text);
  if (!isRecord(value) || value.jsonrpc !== '2.0') return { kind: 'foreign', reason: 'not a JSON-RPC 2.0 message' };
  if (value.method === undefined) return readResponse(value);
  return value.id === undefined ? readNotification(value) : readRequest(value);
}

function readRequest({ method, id, params }: Fields): Frame {
  if (!isId(id)) return refuse(null, "'id' must be an integer or a string of at most 200 characters");
  if (!isName(method)) return refuse(id, "'method' must be a string of 1 to 200 characters");
  if (!isParams(params)) return refuse(id, "'params' must be an object or an array");
  return message({ id, method, params: params ?? undefined });
}

function readNotification({ method, params }: Fields): Frame {
  if (!isName(method) || !isParams(params)) return { kind: 'ignored' };
  // Names that start with '$/' belong to the protocol. The library handles these two and reads their fields unchecked.
  if (method === CANCEL) return isRecord(params) && isId(params.id) ? message({ method, params: { id: params.id } }) : { kind: 'ignored' };
  if (method === PROGRESS)
    return isRecord(params) && isId(params.token)
      ? message({ method, params: { token: params.token, value: params.value } })
      : { kind: 'ignored' };
  return method.startsWith('$/') ? { kind: 'ignored' } : message({ method, params: params ?? undefined });
}

/** A response of the wrong shape becomes an error, so that the caller stops waiting. */
function readResponse({ id, result, error }: Fields): Frame {
  if (result === undefined && error === undefined)
    return refuse(isId(id) ? id : null, "a message needs a 'method', a 'result' or an 'error'");
  if (!isId(id)) return { kind: 'ignored' };
  if (error === undefined || error === null) return message({ id, result: result ?? null });
  if (isRecord(error) && Number.isSafeInteger(error.code) && typeof error.message === 'string') {
    const { code, message: text, data } = error;
    return message({ id, error: { code, message: text, data: isRecord(data) ? data : undefined } });
  }
  return message({ id, error: { code: INTERNAL_ERROR, message: 'the answer is not valid JSON-RPC 2.0' } });
}

const message = (fields: Fields): Frame => ({ kind: 'message', message: { jsonrpc: '2.0', ...fields } });

const refuse = (id: string | number | null, reason: string): Frame => {
  const answer = { jsonrpc: '2.0', id, error: { code: INVALID_REQUEST, message: reason } };
  return { kind: 'refused', answer };
};

const isParams = (value: unknown): boolean => value === undefined || typeof value === 'object';
const isName = (value: unknown): value is string => typeof value === 'string' && value !== '' && value.length <= MAX_NAME_CHARACTERS;
const isId = (value: unknown): value is string | number => isName(value) || Number.isSafeInteger(value);

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const QUOTE = 34;
const BACKSLASH = 92;
const OPENING = new Set([91, 123]);
const CLOSING = new Set([93, 125]);

/** Counts brackets outside strings, so that the depth is known before anything is parsed. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = endOfString(text, i);
    else if (OPENING.has(code)) {
      if (++depth > MAX_DEPTH) return true;
    } else if (CLOSING.has(code)) depth--;
  }
  return false;
}

/** The index of the quote that ends the string starting at `from`. */
function endOfString(text: string, from: number): number {
  let i = from + 1;
  while (i < text.length && text.charCodeAt(i) !== QUOTE) i += text.charCodeAt(i) === BACKSLASH ? 2 : 1;
  return i;
}
