/** Describes data files for a list to choose from. */
import { mapAtOnce } from '../machine/map-at-once.ts';
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
  return mapAtOnce(files, AT_ONCE, file => (performance.now() < deadline ? describe(file, reader) : {}));
}

const describe = (file: string, reader: AskReader): Promise<DataFileInfo> =>
  reader.ask('describeData', { file }, `Reading ${file}`, FILE_MS).catch((error: unknown) => ({ problem: messageOf(error) }));
