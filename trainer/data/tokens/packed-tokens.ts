/** The tokens of a data set: in memory, in chunks, or in a file that is read by ranges. */
import { closeSync, mkdirSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PackedTokens } from './example-store.ts';

/** Number of tokens in a chunk: 4 MB. */
const PIECE_TOKENS = 2 ** 20;
/** Number of tokens to read at once if samples are read in order: 1 MB. */
const AHEAD_TOKENS = 2 ** 18;

export interface TokenSink {
  add(tokens: Int32Array): void;
  /** Ends adding. @returns the tokens, and a reader of them in order */
  end(): { readonly tokens: PackedTokens; readonly ahead: () => PackedTokens };
}

/** Keeps tokens in memory. */
export function memorySink(): TokenSink {
  const pieces: Int32Array[] = [];
  let count = 0;
  return {
    add(tokens) {
      for (let done = 0; done < tokens.length; ) {
        const within = count % PIECE_TOKENS;
        if (within === 0) pieces.push(new Int32Array(Math.min(PIECE_TOKENS, 2 ** Math.ceil(Math.log2(tokens.length - done + 1024)))));
        const taken = Math.min(tokens.length - done, PIECE_TOKENS - within);
        const last = withRoom(pieces.at(-1) ?? new Int32Array(0), within + taken);
        pieces[pieces.length - 1] = last;
        last.set(tokens.subarray(done, done + taken), within);
        done += taken;
        count += taken;
      }
    },
    end() {
      const tokens: PackedTokens = {
        inMemory: true,
        read(start, wanted) {
          const first = Math.floor(start / PIECE_TOKENS);
          const within = start % PIECE_TOKENS;
          if (within + wanted <= PIECE_TOKENS) return (pieces[first] ?? new Int32Array(0)).subarray(within, within + wanted);
          const joined = new Int32Array(wanted);
          for (let done = 0; done < wanted; ) {
            const at = start + done;
            const from = at % PIECE_TOKENS;
            const part = (pieces[Math.floor(at / PIECE_TOKENS)] ?? new Int32Array(0)).subarray(from, from + wanted - done);
            if (part.length === 0) throw new RangeError(`no token ${at} among ${count}`);
            joined.set(part, done);
            done += part.length;
          }
          return joined;
        },
      };
      return { tokens, ahead: () => tokens };
    },
  };
}

/** Returns a chunk with enough room; the chunk of small data grows on demand up to its full size. */
function withRoom(piece: Int32Array, needed: number): Int32Array {
  if (needed <= piece.length) return piece;
  const larger = new Int32Array(Math.min(PIECE_TOKENS, Math.max(needed, 2 * piece.length)));
  larger.set(piece);
  return larger;
}

/** Writes tokens to a file of a new folder, in the byte order of this machine. The caller closes it. */
export function fileSink(folder: string, name: string): { add(tokens: Int32Array): void; close(): void } {
  mkdirSync(folder, { recursive: true });
  const file = openSync(join(folder, name), 'wx');
  return {
    add(tokens) {
      writeFileSync(file, new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength));
    },
    close: () => closeSync(file),
  };
}

/** Reads a file of tokens by ranges. It stays open as long as the process, so clearing the cache does not disturb a run. */
export function fileTokens(path: string, count: number): ReturnType<TokenSink['end']> {
  const file = openSync(path, 'r');
  const into = (buffer: Int32Array, start: number): void => {
    const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    for (let done = 0; done < bytes.length; ) {
      const read = readSync(file, bytes, done, bytes.length - done, start * Int32Array.BYTES_PER_ELEMENT + done);
      if (read === 0) throw new Error(`${path} ends before token ${start + buffer.length}: it was cut short while it was in use`);
      done += read;
    }
  };
  const read = (start: number, wanted: number) => {
    const tokens = new Int32Array(wanted);
    into(tokens, start);
    return tokens;
  };
  return {
    tokens: { inMemory: false, read },
    ahead: () => {
      let block = new Int32Array(0);
      let from = 0;
      return {
        inMemory: false,
        read(start, wanted) {
          if (wanted > AHEAD_TOKENS) return read(start, wanted);
          if (start < from || start + wanted > from + block.length) {
            block = read(start, Math.min(AHEAD_TOKENS, count - start));
            from = start;
          }
          return block.subarray(start - from, start - from + wanted);
        },
      };
    },
  };
}
