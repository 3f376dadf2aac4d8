/** The files in a zip archive of ours. */
import { buffer } from 'node:stream/consumers';
import yauzl from 'yauzl';

/** The contents by the names. */
export async function zipEntries(archive: Buffer): Promise<Map<string, Buffer>> {
  const zip = await yauzl.fromBufferPromise(archive);
  const entries = new Map<string, Buffer>();
  for await (const entry of zip.eachEntry())
    if (!entry.fileName.endsWith('/')) entries.set(entry.fileName, await buffer(await zip.openReadStreamPromise(entry)));
  return entries;
}
