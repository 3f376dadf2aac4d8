/** Positioned reads from a file: never the whole of it, each checked to give exactly the bytes asked for. */
import { openRegularFile, ReadRefusedError, readRegularFile } from '../files/regular-file.ts';
import { codeOf, messageOf } from '../protocol/error-facts.ts';
import { ModelFileError } from './model-file-error.ts';

/** One read call. */
const READ_CHUNK_BYTES = 8 * 1024 * 1024;
/** Calls on their way at once: they are there when JavaScript's thread has other work, and a fast disk serves several faster than one. */
const READS_AT_ONCE = 3;

/** The bytes at hand end before the value does. */
export class NeedMoreBytes extends Error {
  override name = 'NeedMoreBytes';
}

export interface ByteFile {
  readonly path: string;
  readonly size: number;
  /**
   * Fills `target` (a view on its own memory) from `position` on.
   * @throws ModelFileError when the file has become shorter or cannot be read
   */
  readInto(target: Uint8Array, position: number): Promise<void>;
  read(position: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** @throws ModelFileError when there is no such file, it is not a plain file, or it may not be read */
export async function openByteFile(path: string): Promise<ByteFile> {
  const { handle, stats } = await openRegularFile(path).catch(error => {
    throw unreadable(path, error);
  });
  /** Bytes of `target` from `begin` to `end`. */
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
    // The first in the file, where several chunks are missing.
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
 * Parses the beginning of a file whose length only parsing tells: of 4 MB, then of four times as much, up to `most` bytes.
 * @param input.parse throws NeedMoreBytes when its content continues behind the bytes
 * @throws ModelFileError when it does not end within `most` bytes or within the file, or what `parse` throws
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
 * The whole of a small file of a model.
 * @throws ModelFileError when it is missing, not a regular file, larger than `maxBytes`, or may not be read
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
