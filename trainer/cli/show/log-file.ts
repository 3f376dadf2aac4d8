/** The log of one command; created only when there is something to log, so that ordinary commands leave no file. */
import { appendFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';

/** Number of logs to keep. */
const KEPT_LOGS = 20;

export interface LogFile {
  /** Its path, whether or not it exists yet. */
  readonly path: string;
  /** Never throws: a full disk must not hide the error to be logged. */
  append(text: string): void;
}

export function openLogFile(cacheDir: string, command: string, now = new Date()): LogFile {
  const folder = path.join(cacheDir, 'logs');
  const file = path.join(folder, `${now.toISOString().replaceAll(/[:.]/g, '-')}-${command}-${process.pid}.log`);
  let begun = false;
  return {
    path: file,
    append: text => {
      try {
        if (!begun) begin(folder);
        begun = true;
        appendFileSync(file, text.endsWith('\n') ? text : `${text}\n`);
      } catch {
        // A log that can't be written is ignored.
      }
    },
  };
}

function begin(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const logs = readdirSync(folder)
    .filter(name => name.endsWith('.log'))
    .sort();
  for (const name of logs.slice(0, Math.max(0, logs.length - KEPT_LOGS + 1))) rmSync(path.join(folder, name), { force: true });
}
