/** Describes data files for a list to choose from. */
import { messageOf } from '../protocol/error-facts.ts';
import type { DataFileInfo } from '../protocol/view/data.ts';
import type { AskReader } from '../reader/reader.ts';

/** Maximum time for a list, because the user is waiting; files that are not read by then have no description. */
const LIST_MS = 5000;
/** Maximum wall-clock time per file; on a busy machine, the reading process takes seconds to start. */
const FILE_MS = 15_000;
/** Number of files that are read at once: the number of the reader's processes; other requests run in between. */
const AT_ONCE = 2;

/** @returns a description of each file, in order */
export async function describeDataFiles(files: readonly string[], reader: AskReader): Promise<readonly DataFileInfo[]> {
  const deadline = performance.now() + LIST_MS;
  const found: DataFileInfo[] = files.map(() => ({}));
  const waiting = files.entries();
  const work = async (): Promise<void> => {
    for (const [place, file] of waiting) if (performance.now() < deadline) found[place] = await describe(file, reader);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return found;
}

const describe = (file: string, reader: AskReader): Promise<DataFileInfo> =>
  reader.ask('describeData', { file }, `Reading ${file}`, FILE_MS).catch((error: unknown) => ({ problem: messageOf(error) }));
