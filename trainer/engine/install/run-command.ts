/** Runs an external program to its end, keeping the tail of its output. */
import { spawn } from 'node:child_process';
import { onLines } from '../../machine/bounded-lines.ts';
import { startProcess } from '../../machine/start-process.ts';

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

/** Runs the program. Never throws: a program that cannot be started gives status −1. */
export async function runCommand(program: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const started = startProcess(() =>
    spawn(program, args, {
      cwd: options.cwd,
      env: { ...(options.environment ?? process.env), ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
  if ('failure' in started) return { status: -1, output: (await started.failure).message };
  const { child } = started;
  return new Promise(resolve => {
    let output = '';
    const keep = (text: string) => {
      output = (output + text).slice(-KEPT_OUTPUT_CHARS);
    };
    const begun = Date.now();
    const seconds = (): number => Math.round((Date.now() - begun) / 1000);
    const timer = options.onTick && setInterval(() => options.onTick?.(seconds()), 1000);
    const limit =
      options.timeoutMs &&
      setTimeout(() => {
        keep(`\nended after ${seconds()} s`);
        child.kill('SIGKILL');
      }, options.timeoutMs);
    onLines(child.stdout, line => options.onLine?.(line));
    child.stdout.on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    child.on('error', error => keep(error.message));
    child.on('close', status => {
      clearInterval(timer);
      clearTimeout(limit);
      resolve({ status: status ?? -1, output });
    });
  });
}
