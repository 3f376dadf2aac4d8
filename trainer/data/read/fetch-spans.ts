/** Reads spans of remote files: nearby spans with one request, several requests at the same time, and the bytes in order. */
import type { AsyncBuffer } from 'hyparquet';
import type { Span } from './ranged-source.ts';

export interface PlacedSpan extends Span {
  readonly from: Pick<AsyncBuffer, 'slice'>;
}

/** Maximum gap between two spans that are fetched together: another request takes as long as a few hundred kilobytes. */
const MAX_GAP_BYTES = 2 ** 17;
/** Maximum number of bytes per request. */
const MAX_REQUEST_BYTES = 2 ** 23;
/** Number of concurrent requests. */
const AHEAD = 4;

interface RangeRequest extends PlacedSpan {
  /** The spans within the request that are wanted. */
  readonly parts: readonly Span[];
}

/** Yields the bytes of spans, one after the other. @param spans sorted by start within each file */
export async function* fetchSpans(spans: Iterable<PlacedSpan>): AsyncGenerator<Uint8Array> {
  const requests = requestsOf(spans);
  const waiting: Promise<Uint8Array>[] = [];
  const ask = (): void => {
    const next = requests.next();
    if (next.done === true) return;
    const bytes = partsOf(next.value);
    // This error is reported when the result is awaited; an earlier request may fail first.
    bytes.catch(() => undefined);
    waiting.push(bytes);
  };
  for (let i = 0; i < AHEAD; i++) ask();
  for (let first = waiting.shift(); first !== undefined; first = waiting.shift()) {
    const bytes = await first;
    ask();
    yield bytes;
  }
}

/** Merges spans that are near each other. @param spans sorted by start */
export function joinNear(spans: readonly Span[]): Span[] {
  const joined: Span[] = [];
  for (const span of spans) {
    const last = joined.at(-1);
    if (last !== undefined && isNear(last, span.start))
      joined[joined.length - 1] = { start: last.start, end: Math.max(last.end, span.end) };
    else joined.push(span);
  }
  return joined;
}

/** A file with some spans in memory; others are read from the source. */
export async function holdSpans(source: AsyncBuffer, spans: readonly Span[]): Promise<AsyncBuffer> {
  const held = new Uint8Array(spans.reduce((sum, { start, end }) => sum + end - start, 0));
  let filled = 0;
  for await (const bytes of fetchSpans(spans.map(span => ({ ...span, from: source })))) {
    held.set(bytes, filled);
    filled += bytes.length;
  }
  let at = 0;
  const places = spans.map(({ start, end }) => {
    const place = { start, end, at };
    at += end - start;
    return place;
  });
  const { byteLength } = source;
  return {
    byteLength,
    slice(from, to = byteLength) {
      const found = places.find(({ start, end }) => from >= start && to <= end);
      return found === undefined ? source.slice(from, to) : held.slice(found.at + from - found.start, found.at + to - found.start).buffer;
    },
  };
}

const isNear = ({ end }: Span, start: number): boolean => start >= end && start - end <= MAX_GAP_BYTES;

function* requestsOf(spans: Iterable<PlacedSpan>): Generator<RangeRequest> {
  let open: (PlacedSpan & { end: number; readonly parts: Span[] }) | undefined;
  for (const { from, start, end } of spans)
    for (let at = start; at < end; ) {
      const joins = open?.from === from && isNear(open, at) && at - open.start < MAX_REQUEST_BYTES;
      if (open !== undefined && !joins) yield open;
      if (open === undefined || !joins) open = { from, start: at, end: at, parts: [] };
      const to = Math.min(end, open.start + MAX_REQUEST_BYTES);
      open.parts.push({ start: at, end: to });
      open.end = to;
      at = to;
    }
  if (open !== undefined) yield open;
}

async function partsOf({ from, start, end, parts }: RangeRequest): Promise<Uint8Array> {
  const all = new Uint8Array(await from.slice(start, end));
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return all;
  return Buffer.concat(parts.map(part => all.subarray(part.start - start, part.end - start)));
}
