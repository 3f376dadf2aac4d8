/** Positioned reads from a file: a part at a time, each checked to return exactly the requested bytes. */
import { openRegularFile, ReadRefusedError, readRegularFile } from '../files/regular-file.ts';
import { codeOf, messageOf } from '../protocol/error-facts.ts';
import { ModelFileError } from './model-file-error.ts';

/** Maximum bytes per read call. */
const READ_CHUNK_BYTES = 8 * 1024 * 1024;
/** Number of concurrent calls: they complete while JavaScript's thread does other work, and a fast disk is faster with several at once. */
const READS_AT_ONCE = 3;

/** Error for a value that continues beyond the available bytes. */
export class NeedMoreBytes extends Error {
  override name = 'NeedMoreBytes';
}

export interface ByteFile {
  readonly path: string;
  readonly size: number;
  /**
   * Fills `target` (a view on its own memory) with the bytes at `position`.
   * @throws ModelFileError if the file has become shorter or cannot be read
   */
  readInto(target: Uint8Array, position: number): Promise<void>;
  read(position: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** @throws ModelFileError if the file does not exist, is not a regular file, or may not be read */
export async function openByteFile(path: string): Promise<ByteFile> {
  const { handle, stats } = await openRegularFile(path).catch(error => {
    throw unreadable(path, error);
  });
  /** Reads bytes of `target` from `begin` to `end`. */
  const readChunk = async (target: Uint8Array, begin: number, end: number, position: number): Promise<void> => {
    for (let done = begin; done < end; ) {
      const { bytesRead } = await handle.read(target, done, end - done, position + done).catch(error => {
        throw unreadable(path, error);
      });
      if (bytesRead === 0) {
        const message = `ends at byte ${position + done}, ${target.length - done} bytes too early`;
        throw new ModelFileError(path, message, 'It was cut or changed while in use: download or copy it again.');
      }
      done += bytesRead;
    }
  };
  const readInto = async (target: Uint8Array, position: number): Promise<void> => {
    let next = 0;
    // If several chunks fail, the first one in the file is reported.
    let failure: { readonly begin: number; readonly error: unknown } | undefined;
    const readChunks = async (): Promise<void> => {
      while (next < target.length && !failure) {
        const begin = next;
        next = Math.min(begin + READ_CHUNK_BYTES, target.length);
        await readChunk(target, begin, next, position).catch((error: unknown) => {
          if (!failure || begin < failure.begin) failure = { begin, error };
        });
      }
    };
    await Promise.all(Array.from({ length: READS_AT_ONCE }, readChunks));
    if (failure) throw failure.error;
  };
  return {
    path,
    size: stats.size,
    readInto,
    async read(position, length) {
      const target = new Uint8Array(length);
      await readInto(target, position);
      return target;
    },
    close: () => handle.close(),
  };
}

const FIRST_WINDOW_BYTES = 4 * 1024 * 1024;

/**
 * Parses the beginning of a file whose length is known only after parsing: first 4 MB, then four times as much each time, up to `most`
 * bytes.
 * @param input.parse throws NeedMoreBytes if its content continues after these bytes
 * @throws ModelFileError if it does not end within `most` bytes or within the file, and the errors of `parse`
 */
export async function parseBeginning<T>(
  file: ByteFile,
  input: { readonly what: string; readonly most: number; readonly remedy: string; readonly parse: (bytes: Uint8Array) => T },
): Promise<T> {
  const most = Math.min(file.size, input.most);
  for (let window = Math.min(FIRST_WINDOW_BYTES, most); ; window = Math.min(4 * window, most)) {
    try {
      return input.parse(await file.read(0, window));
    } catch (error) {
      if (!(error instanceof NeedMoreBytes)) throw error;
      if (window < most) continue;
      const where = file.size > most ? `is larger than the ${most} bytes allowed` : `does not fit the file's ${file.size} bytes`;
      throw new ModelFileError(file.path, `${input.what} ${where}: ${error.message}`, input.remedy);
    }
  }
}

/**
 * Reads all of a small model file.
 * @throws ModelFileError if it is missing, not a regular file, larger than `maxBytes`, or may not be read
 */
export function readModelFile(path: string, maxBytes: number): Promise<Buffer> {
  return readRegularFile(path, maxBytes).catch(error => {
    throw unreadable(path, error);
  });
}

const UNREAD = { isUnread: true };

function unreadable(path: string, error: unknown): ModelFileError {
  if (error instanceof ReadRefusedError) return new ModelFileError(path, error.what, error.hint, UNREAD);
  const code = codeOf(error);
  if (code === 'ENOENT') return new ModelFileError(path, 'does not exist', 'Check the path, or download the model again.');
  if (code === 'EACCES' || code === 'EPERM')
    return new ModelFileError(path, 'may not be read', 'Give yourself read permission on it.', UNREAD);
  return new ModelFileError(path, `cannot be read (${messageOf(error)})`, 'Check the path and the disk.', UNREAD);
}
