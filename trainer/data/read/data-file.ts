/** Opens data files: what is not a regular file, or too large for what it is read as, is an error about the data. */
import { openRegularFile, ReadRefusedError, type RegularFile, readRegularBlocks, readRegularFile } from '../../files/regular-file.ts';
import { DataError } from '../data-error.ts';

/** The caller closes the handle. @throws DataError for a pipe, a device or a folder, or the system's error */
export const openDataFile = (file: string): Promise<RegularFile> => openRegularFile(file).catch(asDataError);

/** The whole content. @throws DataError for what is not a regular file or has more than `maxBytes`, or the system's error */
export const readDataFile = (file: string, maxBytes: number): Promise<Buffer> => readRegularFile(file, maxBytes).catch(asDataError);

/** The content in blocks, to its end or up to `maxBytes`. @throws as {@link openDataFile} */
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
