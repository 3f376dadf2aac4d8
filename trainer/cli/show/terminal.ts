/** The output of a command: results on stdout, everything else on stderr; with --json, one object as the last line of stdout. */
import { styleText } from 'node:util';
import type { LogLevel } from '../../protocol/messages/job-messages.ts';
import type { LogFile } from './log-file.ts';
import { type ProgressView, progressView } from './progress.ts';

export interface Terminal {
  readonly json: boolean;
  readonly verbose: boolean;
  /** Results may have colors. */
  readonly isColored: boolean;
  /** Maximum number of characters in a line of results. */
  readonly width: number;
  readonly log: LogFile;
  readonly progress: ProgressView;
  /** Writes a line for people to stderr. 'debug' lines are shown only with --verbose, but always logged. */
  say(level: LogLevel, message: string): void;
  /** Writes a result for people to stdout; nothing with --json, where `finish` prints the result. */
  print(text: string): void;
  /** Streams text without a line end. */
  stream(chunk: string): void;
  /** Streams text that is not part of the result to stderr, before the text that is. */
  streamAside(chunk: string): void;
  /** Writes the result for programs: one line on stdout with --json, otherwise nothing. Called once, last. */
  finish(value: unknown): void;
}

export interface TerminalOptions {
  readonly json: boolean;
  readonly verbose: boolean;
  readonly color: boolean;
  readonly log: LogFile;
  readonly stdout?: NodeJS.WriteStream;
  readonly stderr?: NodeJS.WriteStream;
}

const styles = { debug: 'dim', info: undefined, warning: 'yellow', error: 'red' } as const;
const prefixes: Readonly<Record<LogLevel, string>> = { debug: '', info: '', warning: 'warning: ', error: 'error: ' };

const ESCAPE = String.fromCharCode(27);
/** Control characters except line ends and tabs; the second pattern also exempts colors. */
const CONTROL_CHARACTERS = /(?!\n|\t|\r\n)\p{Cc}/gu;
const CONTROL_CHARACTERS_BUT_COLORS = new RegExp(`(?!\\n|\\t|\\r\\n|${ESCAPE}\\[\\d*m)\\p{Cc}`, 'gu');

/** Makes names, data and answers from outside harmless: they must not move the cursor, erase a line or set a title. */
const harmless = (text: string, obeyed = CONTROL_CHARACTERS): string => text.replace(obeyed, '·');

/** Width of a line in characters in a file or a pipe. */
const DEFAULT_WIDTH = 100;

export function openTerminal(options: TerminalOptions): Terminal {
  const { json, verbose, log, stdout = process.stdout, stderr = process.stderr } = options;
  const colored = options.color && stderr.isTTY === true;
  const isColored = options.color && stdout.isTTY === true;
  const progress = progressView(stderr);
  const streamed = (chunk: string, stream: NodeJS.WriteStream): string => (stream.isTTY ? harmless(chunk) : chunk);
  let isAside = false;
  return {
    json,
    verbose,
    isColored,
    width: stdout.columns || DEFAULT_WIDTH,
    log,
    progress,
    say: (level, message) => {
      if (level === 'debug') log.append(message);
      if (level === 'debug' && !verbose) return;
      const style = styles[level];
      const text = `${prefixes[level]}${harmless(message)}`;
      progress.aside(() => stderr.write(`${colored && style ? styleText(style, text) : text}\n`));
    },
    print: text => {
      const shown = harmless(text, isColored ? CONTROL_CHARACTERS_BUT_COLORS : CONTROL_CHARACTERS);
      if (!json) progress.aside(() => stdout.write(`${shown}\n`));
    },
    stream: chunk => {
      if (json) return;
      // End the bar: on the same terminal, it would erase the line of the text.
      progress.end();
      if (isAside) stderr.write('\n\n');
      isAside = false;
      stdout.write(streamed(chunk, stdout));
    },
    streamAside: chunk => {
      if (json) return;
      progress.end();
      isAside = true;
      const shown = streamed(chunk, stderr);
      stderr.write(colored ? styleText('dim', shown) : shown);
    },
    finish: value => {
      progress.end();
      if (json) stdout.write(`${JSON.stringify(value)}\n`);
    },
  };
}
