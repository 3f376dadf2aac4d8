/** Reads the body of an HTTP answer into memory, whatever length its server announces or sends. */

export interface ReadBody {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** True if the body has more bytes, which are not received. */
  readonly isCut: boolean;
}

/** The first `maxBytes` bytes of a body, in a buffer of their own. @throws the error of the connection */
export async function readBody({ body }: Pick<Response, 'body'>, maxBytes: number): Promise<ReadBody> {
  const chunks: Uint8Array[] = [];
  let received = 0;
  // Leaving the loop early ends the transfer.
  for await (const chunk of body ?? []) {
    chunks.push(chunk.subarray(0, maxBytes - received));
    received += chunk.length;
    if (received > maxBytes) break;
  }
  const bytes = new Uint8Array(Math.min(received, maxBytes));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return { bytes, isCut: received > maxBytes };
}
