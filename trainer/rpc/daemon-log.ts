/** The daemon's log: one file, rotated when full, so that a long-running daemon does not fill the disk. */
import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import type { LogLevel } from '../protocol/messages/job-messages.ts';

/** Maximum size of a log file, of which there are at most two: weeks of ordinary messages. */
const MAX_LOG_BYTES = 4 * 2 ** 20;
/** Maximum length of a line: a worker may write endless lines. */
const MAX_LINE_CHARACTERS = 4000;

export interface DaemonLog {
  readonly path: string;
  /** Never throws: a full disk must not end a job. */
  write(level: LogLevel, message: string): void;
}

export function openDaemonLog(stateDir: string, maxBytes = MAX_LOG_BYTES): DaemonLog {
  const file = path.join(stateDir, 'daemon.log');
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  let bytes = sizeOf(file);
  return {
    path: file,
    write: (level, message) => {
      const text = message.length > MAX_LINE_CHARACTERS ? `${message.slice(0, MAX_LINE_CHARACTERS)} …` : message;
      const line = `${new Date().toISOString()} ${level} ${text}\n`;
      try {
        if (bytes > 0 && bytes + line.length > maxBytes) {
          renameSync(file, `${file}.1`);
          bytes = 0;
        }
        appendFileSync(file, line, { mode: 0o600 });
        bytes += Buffer.byteLength(line);
      } catch {
        // A log that can't be written is ignored.
      }
    },
  };
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch {
    return 0;
  }
}
