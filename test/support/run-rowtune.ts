/** The bundled command line as a process. */
import { spawn } from 'node:child_process';
import { cacheDir } from './cache-dir.ts';
import { ROWTUNE } from './daemon.ts';

export interface RunOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Called with everything on stderr so far. */
  readonly onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void;
}

export interface RunOutcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The last line of stdout where it is JSON. */
  readonly value: unknown;
}

export function runRowtune(args: readonly string[], { env, cwd, onStderr }: RunOptions): Promise<RunOutcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [ROWTUNE, ...args], {
      cwd,
      env: { ...process.env, ROWTUNE_CACHE: cacheDir, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', chunk => {
      stdout += chunk;
    });
    child.stderr.on('data', chunk => {
      stderr += chunk;
      onStderr?.(stderr, signal => child.kill(signal));
    });
    child.once('error', reject);
    child.once('close', status => resolve({ status, stdout, stderr, value: parsed(stdout.trimEnd().split('\n').at(-1) ?? '') }));
  });
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
