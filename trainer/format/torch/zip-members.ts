/** The members of a zip file and where the bytes of each lie; nothing is unpacked. */
import yauzl from 'yauzl';
import type { ByteFile } from '../byte-file.ts';
import { ModelFileError } from '../model-file-error.ts';

export interface ZipMember {
  readonly name: string;
  readonly size: number;
  /** Neither compressed nor encrypted, so that a range of the file is a range of the member. */
  readonly isPlain: boolean;
  /** Where its bytes begin in the file. */
  start(): Promise<number>;
}

/** A member for each tensor and a few more; the largest files have some thousand. */
const MAX_MEMBERS = 1_000_000;

/** @throws ModelFileError when the file is no zip file or was cut */
export async function readZipMembers(file: ByteFile, remedy: string): Promise<Map<string, ZipMember>> {
  const damaged = (error: unknown): ModelFileError =>
    error instanceof ModelFileError
      ? error
      : new ModelFileError(file.path, `is no whole zip file: ${(error as Error).message.split('. ')[0]}`, remedy);
  try {
    const zip = await yauzl.fromRandomAccessReaderPromise(new FileReader(file), file.size, { autoClose: false });
    if (zip.entryCount > MAX_MEMBERS)
      throw new ModelFileError(file.path, `says it has ${zip.entryCount} members; at most ${MAX_MEMBERS} are read`, remedy);
    const members = new Map<string, ZipMember>();
    for await (const entry of zip.eachEntry())
      members.set(entry.fileName, {
        name: entry.fileName,
        size: entry.uncompressedSize,
        isPlain: entry.compressionMethod === 0 && !entry.isEncrypted(),
        start: async () => {
          try {
            const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
            return fileDataStart;
          } catch (error) {
            throw damaged(error);
          }
        },
      });
    return members;
  } catch (error) {
    throw damaged(error);
  }
}

/** Lets the library read through a ByteFile, which whoever opened it closes. */
class FileReader extends yauzl.RandomAccessReader {
  readonly file: ByteFile;

  constructor(file: ByteFile) {
    super();
    this.file = file;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    // What the library asks for behind the end is for it to say in its own words.
    const there = Math.max(0, Math.min(length, this.file.size - position));
    this.file.readInto(buffer.subarray(offset, offset + there), position).then(
      () => callback(null, there),
      (error: Error) => callback(error),
    );
  }

  override close(callback: (error: Error | null) => void): void {
    callback(null);
  }
}
