/** Bounds the unpacked size of a Zstandard stream from its headers alone (RFC 8878): the library allocates whatever they declare. */

const FRAME = 0xfd2fb528;
/** The first of sixteen magic numbers of skippable frames. */
const SKIPPABLE = 0x184d2a50;
/** The largest window that the reference decoder allows by default. */
const MAX_WINDOW_BYTES = 2 ** 27;
const MAX_BLOCK_BYTES = 2 ** 17;
const BLOCK_HEADER_BYTES = 3;
/** The type of blocks that repeat one byte. */
const REPEATED = 1;

/** @throws Error for a stream that is truncated, needs a larger window, or may unpack to more than `maxBytes` */
export function checkZstd(bytes: Uint8Array, maxBytes: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let blocks = 0;
  for (let at = 0; at < bytes.length; ) {
    const magic = view.getUint32(at, true);
    if (magic >= SKIPPABLE && magic < SKIPPABLE + 16) {
      at += 8 + view.getUint32(at + 4, true);
      continue;
    }
    if (magic !== FRAME) throw new Error('its Zstandard data is damaged');
    const descriptor = view.getUint8(at + 4);
    const isSingle = (descriptor & 0x20) !== 0;
    const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number;
    const sizeBytes = descriptor >> 6 === 0 ? Number(isSingle) : 2 ** (descriptor >> 6);
    if (!isSingle) {
      const code = view.getUint8(at + 5);
      const window = 2 ** (10 + (code >> 3)) * (1 + (code & 7) / 8);
      if (window > MAX_WINDOW_BYTES)
        throw new Error(`its Zstandard data needs a window of ${window} bytes; at most ${MAX_WINDOW_BYTES} are used`);
    }
    const sizeAt = at + 5 + Number(!isSingle) + dictionaryBytes;
    const size = contentSize(view, sizeAt, sizeBytes);
    if (size > maxBytes) throw new Error(`its Zstandard data unpacks to ${size} bytes; at most ${maxBytes} are read`);
    at = sizeAt + sizeBytes;
    for (let isLast = false; !isLast; ) {
      const header = view.getUint16(at, true) + 2 ** 16 * view.getUint8(at + 2);
      isLast = (header & 1) === 1;
      at += BLOCK_HEADER_BYTES + (((header >> 1) & 3) === REPEATED ? 1 : header >> 3);
      if (++blocks * MAX_BLOCK_BYTES > maxBytes) throw new Error(`its Zstandard data may unpack to more than ${maxBytes} bytes`);
    }
    if ((descriptor & 4) !== 0) at += 4;
  }
}

/** The content size that a frame declares; 0 if it declares none. */
function contentSize(view: DataView, at: number, bytes: number): number {
  if (bytes === 1) return view.getUint8(at);
  // RFC 8878: a two-byte size has an offset of 256.
  if (bytes === 2) return view.getUint16(at, true) + 256;
  if (bytes === 4) return view.getUint32(at, true);
  return bytes === 8 ? Number(view.getBigUint64(at, true)) : 0;
}
