/** Describes data files for a list to pick from. */
import { messageOf } from '../protocol/error-facts.ts';
import type { DataFileInfo } from '../protocol/view/data.ts';
import type { AskReader } from '../reader/reader.ts';

/** Whoever asks waits in front of a list: files that are not read by then have no description. */
const LIST_MS = 5000;
/** By the clock: on a busy machine, the process that reads takes seconds to start. */
const FILE_MS = 15_000;
/** The reader has as many processes, and other requests come in between. */
const AT_ONCE = 2;

/** @returns one for each file, in order */
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
