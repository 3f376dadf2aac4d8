/** Reads the lines of a file in blocks, so that neither a long file nor a long line has to fit in a string. */
import { readRegularBlocks, tooLarge } from './regular-file.ts';

const BLOCK_BYTES = 2 ** 20;
const NEWLINE = 10;

/**
 * Yields the lines of each block, in order. A line that is longer than a block is left out.
 * @throws ReadRefusedError 'not-regular-file', or 'file-too-large' after the lines in the first `maxBytes`; the system's error
 */
export async function* readLineBlocks(path: string, maxBytes: number, blockBytes = BLOCK_BYTES): AsyncGenerator<readonly string[]> {
  let [bytes, isLong] = [0, false];
  let rest = Buffer.alloc(0);
  for await (const block of readRegularBlocks(path, blockBytes, maxBytes + 1)) {
    bytes += block.length;
    if (bytes > maxBytes) throw tooLarge(path, maxBytes);
    const end = block.lastIndexOf(NEWLINE) + 1;
    if (end > 0) {
      // The last element is what follows the last line end.
      const lines = Buffer.concat([rest, block.subarray(0, end)])
        .toString('utf8')
        .split('\n')
        .slice(0, -1);
      yield isLong ? lines.slice(1) : lines;
      rest = Buffer.alloc(0);
    }
    isLong = (end === 0 && isLong) || rest.length + block.length - end > blockBytes;
    rest = isLong ? Buffer.alloc(0) : Buffer.concat([rest, block.subarray(end)]);
  }
  if (rest.length > 0) yield [rest.toString('utf8')];
}
