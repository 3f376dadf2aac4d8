/** The members of a zip file and the positions of their bytes; nothing is unpacked. */
import yauzl from 'yauzl';
import { messageOf } from '../../protocol/error-facts.ts';
import type { ByteFile } from '../byte-file.ts';
import { clip, ModelFileError } from '../model-file-error.ts';

export interface ZipMember {
  readonly name: string;
  readonly size: number;
  /** True if it is neither compressed nor encrypted, so that a range of the file is a range of the member. */
  readonly isPlain: boolean;
  /** Returns the position of its bytes in the file. */
  start(): Promise<number>;
}

/** Maximum number of members: there is one per tensor and a few more; the largest files have a few thousand. */
const MAX_MEMBERS = 1_000_000;
/** Maximum size of the names, extra fields and comments of all members: torch.save writes about 100 bytes per member. */
const MAX_DIRECTORY_BYTES = 64 * 1024 * 1024;
/** The size of the fixed part of a member's entry in the central directory, and of the header before its bytes. */
const ENTRY_BYTES = 46;
const LOCAL_HEADER_BYTES = 30;

/** @throws ModelFileError if the file is not a zip file, is truncated, or describes members that no writer would produce */
export async function readZipMembers(file: ByteFile, remedy: string): Promise<Map<string, ZipMember>> {
  const fail = (message: string): ModelFileError => new ModelFileError(file.path, message, remedy);
  const damaged = (error: unknown): ModelFileError =>
    error instanceof ModelFileError ? error : fail(`is not a complete zip file: ${messageOf(error).split('. ')[0]}`);
  try {
    const zip = await yauzl.fromRandomAccessReaderPromise(new FileReader(file), file.size, { autoClose: false });
    if (zip.entryCount > MAX_MEMBERS) throw fail(`says it has ${zip.entryCount} members; at most ${MAX_MEMBERS} are read`);
    if (zip.entryCount * ENTRY_BYTES > file.size)
      throw fail(`says it has ${zip.entryCount} members, which its ${file.size} bytes cannot hold`);
    const members = new Map<string, ZipMember>();
    const ranges: Range[] = [];
    let directoryBytes = 0;
    for await (const entry of zip.eachEntry()) {
      const { fileName: name, compressedSize, uncompressedSize: size, relativeOffsetOfLocalHeader: from } = entry;
      directoryBytes += ENTRY_BYTES + entry.fileNameLength + entry.extraFieldLength + entry.fileCommentLength;
      if (directoryBytes > MAX_DIRECTORY_BYTES) throw fail(`describes its members with more than ${MAX_DIRECTORY_BYTES} bytes`);
      if (members.has(name)) throw fail(`has two members ${clip(name)}`);
      const isPlain = entry.compressionMethod === 0 && !entry.isEncrypted();
      ranges.push({ name, from, to: from + LOCAL_HEADER_BYTES + entry.fileNameLength + compressedSize });
      members.set(name, {
        name,
        size,
        isPlain,
        start: async () => {
          try {
            const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
            return fileDataStart;
          } catch (error) {
            throw damaged(error);
          }
        },
      });
    }
    const wrong = misplaced(ranges, file.size);
    if (wrong !== undefined) throw fail(wrong);
    return members;
  } catch (error) {
    throw damaged(error);
  }
}

/** The range of bytes of a member in the file, including its header. */
interface Range {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/**
 * Describes the first member that overlaps another or extends past the end of the file: otherwise a few bytes could represent any amount of
 * data.
 */
function misplaced(ranges: Range[], fileSize: number): string | undefined {
  let before: Range | undefined;
  for (const range of ranges.sort((a, b) => a.from - b.from)) {
    if (range.to > fileSize) return `places ${clip(range.name)} at bytes ${range.from} to ${range.to}, but has only ${fileSize}`;
    if (before !== undefined && range.from < before.to) return `has members that overlap: ${clip(before.name)} and ${clip(range.name)}`;
    before = range;
  }
  return undefined;
}

/** Lets the library read through a ByteFile, which its opener closes. */
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
    // For reads past the end, return what exists: the library reports the error.
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
