/** Runs an external program to its end, keeping the tail of its output. */
import { spawn } from 'node:child_process';

/** Enough for a complete error message of a compiler or pip; more would only hide its last lines. */
const KEPT_OUTPUT_CHARS = 16_000;

export interface CommandResult {
  /** The exit status; −1 if the program could not be started or a signal ended it. */
  readonly status: number;
  /** The tail of stdout and stderr together. */
  readonly output: string;
}

export interface CommandOptions {
  readonly cwd?: string;
  /** The whole environment; by default this process's own. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Additional variables. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Called for each line of stdout. */
  readonly onLine?: (line: string) => void;
  /** Called every second while it runs. */
  readonly onTick?: (elapsedSeconds: number) => void;
  /** Milliseconds after which the program is killed. */
  readonly timeoutMs?: number | undefined;
}

/** Runs the program. Never throws: a program that does not exist gives status −1. */
export function runCommand(program: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise(resolve => {
    let output = '';
    let pending = '';
    const keep = (text: string) => {
      output = (output + text).slice(-KEPT_OUTPUT_CHARS);
    };
    const started = Date.now();
    const timer = options.onTick && setInterval(() => options.onTick?.(Math.round((Date.now() - started) / 1000)), 1000);
    const finish = (status: number) => {
      clearInterval(timer);
      clearTimeout(limit);
      resolve({ status, output });
    };
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...(options.environment ?? process.env), ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const limit =
      options.timeoutMs &&
      setTimeout(() => {
        keep(`\nended after ${Math.round((Date.now() - started) / 1000)} s`);
        child.kill('SIGKILL');
      }, options.timeoutMs);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      keep(text);
      const lines = (pending + text).split('\n');
      pending = lines.pop() ?? '';
      for (const line of lines) options.onLine?.(line);
    });
    child.stderr.setEncoding('utf8').on('data', keep);
    child.on('error', error => {
      keep(error.message);
      finish(-1);
    });
    child.on('close', status => finish(status ?? -1));
  });
}
