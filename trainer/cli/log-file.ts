/** The log of one command: made only when there is something to keep, so that ordinary commands leave nothing behind. */
import { appendFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';

/** Older logs go when a new one begins. */
const KEPT_LOGS = 20;

export interface LogFile {
  /** Where it is, whether or not it exists yet. */
  readonly path: string;
  /** Never throws: a full disk must not hide the error that was to be noted. */
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
        // Nothing more can be done about a log that can't be written.
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
