/** The newest log entries of a run, each with its level; continuation lines belong to the previous entry. */
import { KEPT_LOG_LINES } from '../../trainer/protocol/view/run.ts';

export const LOG_LEVELS = ['debug', 'info', 'warning', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogEntry {
  /** A number that increases over all entries of the run. */
  readonly id: number;
  /** Time in ISO 8601; empty for lines without a time. */
  readonly time: string;
  readonly level: LogLevel;
  /** May contain several lines. */
  readonly text: string;
}

const HEAD = /^(\d{4}-\d\d-\d\dT[\d:.]+Z) (debug|info|warning|error) (.*)$/;

export class LogLines {
  private list: LogEntry[] = [];
  private next = 0;
  /** Number of resets so far. */
  generation = 0;

  get entries(): readonly LogEntry[] {
    return this.list;
  }

  append({ reset, lines }: { readonly reset: boolean; readonly lines: readonly string[] }): void {
    if (reset) {
      this.list = [];
      this.generation++;
    }
    for (const line of lines) this.add(line);
    // Trim in blocks, because shifting the whole list for every line would be slow.
    if (this.list.length > 1.25 * KEPT_LOG_LINES) this.list = this.list.slice(-KEPT_LOG_LINES);
  }

  private add(line: string): void {
    const [, time, word, text] = HEAD.exec(line) ?? [];
    const level = LOG_LEVELS.find(each => each === word);
    if (time !== undefined && text !== undefined && level !== undefined) {
      this.list.push({ id: this.next++, time, level, text });
      return;
    }
    const before = this.list.at(-1);
    if (before) this.list[this.list.length - 1] = { ...before, text: `${before.text}\n${line}` };
    else this.list.push({ id: this.next++, time: '', level: 'info', text: line });
  }
}

/** Returns the entries of at least this level that contain the words, ignoring case. */
export function filterLog(entries: readonly LogEntry[], level: LogLevel, words: string): LogEntry[] {
  const least = LOG_LEVELS.indexOf(level);
  const wanted = words.trim().toLowerCase();
  return entries.filter(entry => LOG_LEVELS.indexOf(entry.level) >= least && (wanted === '' || entry.text.toLowerCase().includes(wanted)));
}
