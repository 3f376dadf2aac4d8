/** Reads the files in a zip archive that we wrote. */
import { buffer } from 'node:stream/consumers';
import yauzl from 'yauzl';

/** Returns the contents by name. */
export async function zipEntries(archive: Buffer): Promise<Map<string, Buffer>> {
  const zip = await yauzl.fromBufferPromise(archive);
  const entries = new Map<string, Buffer>();
  for await (const entry of zip.eachEntry())
    if (!entry.fileName.endsWith('/')) entries.set(entry.fileName, await buffer(await zip.openReadStreamPromise(entry)));
  return entries;
}
