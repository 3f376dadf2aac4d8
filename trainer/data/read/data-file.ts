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

function asDataError(error: unknown): never {
  if (!(error instanceof ReadRefusedError)) throw error;
  throw new DataError({ file: error.path, problem: error.what, advice: error.hint.replace(/\.$/, '') }, { cause: error });
}
