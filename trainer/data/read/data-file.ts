/** Opens data files. An irregular file, or one that is too large to be read this way, is a DataError. */
import { openRegularFile, ReadRefusedError, type RegularFile, readRegularBlocks, readRegularFile } from '../../files/regular-file.ts';
import { DataError } from '../data-error.ts';

/** Opens a data file; the caller closes the handle. @throws DataError for a pipe, a device or a folder, or the system's error */
export const openDataFile = (file: string): Promise<RegularFile> => openRegularFile(file).catch(asDataError);

/** The whole content. @throws DataError for an irregular file or more than `maxBytes`, or the system's error */
export const readDataFile = (file: string, maxBytes: number): Promise<Buffer> => readRegularFile(file, maxBytes).catch(asDataError);

/** The content in blocks, to the end of the file or up to `maxBytes`. @throws as {@link openDataFile} */
export async function* readDataBlocks(file: string, blockBytes: number, maxBytes?: number): AsyncGenerator<Buffer> {
  try {
    yield* readRegularBlocks(file, blockBytes, maxBytes);
  } catch (error) {
    asDataError(error);
  }
}

export interface DamagedFile {
  readonly file: string;
  /** The reason why it cannot be read. */
  readonly cause: unknown;
  readonly line?: number | undefined;
  readonly advice?: string;
}

/** Returns the error for a file that cannot be read as its format. */
export function damagedFile(
  format: string,
  { file, cause, line, advice = 'Write it again, or download it again' }: DamagedFile,
): DataError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new DataError({ file, line, problem: `not a readable ${format} file (${reason})`, advice }, { cause });
}

function asDataError(error: unknown): never {
  if (!(error instanceof ReadRefusedError)) throw error;
  throw new DataError({ file: error.path, problem: error.what, advice: error.hint.replace(/\.$/, '') }, { cause: error });
}
