/** Positioned reads from a file: never the whole of it, each checked to give exactly the bytes asked for. */
import { type FileHandle, open } from 'node:fs/promises';
import { ModelFileError } from './model-file-error.ts';

/** One read call; the system refuses more than 2^31 − 1 bytes, and smaller pieces cost nothing. */
const READ_CHUNK_BYTES = 64 * 1024 * 1024;

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
  const handle = await openForReading(path);
  const stats = await handle.stat();
  if (!stats.isFile()) {
    await handle.close();
    throw new ModelFileError(path, 'is not a plain file', 'Give the path of a model file or of the folder that holds it.');
  }
  const readInto = async (target: Uint8Array, position: number): Promise<void> => {
    let done = 0;
    while (done < target.length) {
      const { bytesRead } = await handle.read(target, done, Math.min(READ_CHUNK_BYTES, target.length - done), position + done);
      if (bytesRead === 0) {
        const message = `ends at byte ${position + done}, ${target.length - done} bytes too early`;
        throw new ModelFileError(path, message, 'It was cut or changed while in use: download or copy it again.');
      }
      done += bytesRead;
    }
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

async function openForReading(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') throw new ModelFileError(path, 'does not exist', 'Check the path, or download the model again.');
    if (code === 'EACCES' || code === 'EPERM') throw new ModelFileError(path, 'may not be read', 'Give yourself read permission on it.');
    throw new ModelFileError(path, `cannot be opened (${(error as Error).message})`, 'Check the path and the disk.');
  }
}
