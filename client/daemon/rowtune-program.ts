/** Runs the trainer's command line: chooses Node and the environment, and parses the last line of its output as JSON. */
import { spawn } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { DaemonError } from '../../trainer/rpc/daemon-error.ts';

/** The oldest Node that the trainer supports. */
const OLDEST_NODE = 20;
/** `node --version` takes milliseconds; a wrapper that first downloads Node is given up. */
const VERSION_TIMEOUT_MS = 10_000;
/** A result is one line; more output than this is discarded. */
const MAX_OUTPUT_CHARS = 4 * 2 ** 20;
/** The line of an uncaught error that says what happened; a stack trace follows it. */
const THROWN = /^(?:Uncaught )?\w*Error(?: \[\w+\])?: /;

export interface NodeProgram {
  readonly command: string;
  /** Environment variables that make the editor's program run as Node. */
  readonly env: Readonly<Record<string, string>>;
}

export interface NodeSearch {
  /** The setting `rowtune.node`; empty to search for Node. */
  readonly configured: string;
  /** The executable of this process. */
  readonly execPath: string;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Returns the configured Node. If none is configured, returns `node` on the PATH, or else the editor's own.
 * @throws DaemonError 'node-unusable' if the configured one does not start or is too old
 */
export async function findNode({ configured, execPath, env }: NodeSearch): Promise<NodeProgram> {
  if (configured !== '') {
    const version = await nodeVersion(configured, env);
    if (version !== undefined && version >= OLDEST_NODE) return { command: configured, env: {} };
    const found = version === undefined ? 'does not start' : `is Node ${version}`;
    throw new DaemonError('node-unusable', `${configured} (the setting rowtune.node) ${found}`, {
      hint: `Give the path of Node ${OLDEST_NODE} or newer, or leave the setting empty`,
    });
  }
  const version = await nodeVersion('node', env);
  if (version !== undefined && version >= OLDEST_NODE) return { command: 'node', env: {} };
  return { command: execPath, env: { ELECTRON_RUN_AS_NODE: '1' } };
}

/** Returns the major version; undefined if it does not start. */
function nodeVersion(command: string, env: NodeJS.ProcessEnv): Promise<number | undefined> {
  return new Promise(resolve => {
    const child = spawn(command, ['--version'], { env, stdio: ['ignore', 'pipe', 'ignore'], timeout: VERSION_TIMEOUT_MS });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.on('error', () => resolve(undefined));
    child.on('close', () => {
      const major = /^v(\d+)\./.exec(output)?.[1];
      resolve(major === undefined ? undefined : Number(major));
    });
  });
}

export interface TrainerSearch {
  /** The setting `rowtune.trainerPath`; empty for the bundled one. */
  readonly configured: string;
  /** The command line in the extension. */
  readonly bundled: string;
}

/**
 * Returns the program of the trainer's command line.
 * @throws DaemonError 'trainer-unusable' if the configured one is not a file
 */
export async function findTrainer({ configured, bundled }: TrainerSearch): Promise<string> {
  if (configured === '') return bundled;
  const found = await stat(configured).catch(() => undefined);
  if (found?.isFile() === true) return configured;
  const problem = found === undefined ? 'does not exist' : 'is not a file';
  throw new DaemonError('trainer-unusable', `${configured} (the setting rowtune.trainerPath) ${problem}`, {
    hint: "Give the path of the trainer's rowtune.js, or leave the setting empty",
  });
}

/**
 * Returns the environment without the editor's own variables and without NODE_OPTIONS, which would affect the command line itself. A
 * variable informs the daemon that NODE_OPTIONS was set; the daemon clears everything else.
 */
export function cleanEnvironment({ NODE_OPTIONS: options, ...env }: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => !/^(VSCODE_|ELECTRON_|CODE_SERVER_)/.test(name));
  return Object.fromEntries(options ? [...kept, ['ROWTUNE_CLEARED_VARIABLES', 'NODE_OPTIONS']] : kept);
}

export interface RowtuneCall {
  readonly node: NodeProgram;
  /** The bundle of the command line. */
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Called with each line of text as it arrives. */
  readonly onLine?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Runs `rowtune ARGS --json` to its end.
 * @returns the object that it prints last
 * @throws DaemonError with the program's code, message and hint; 'canceled' if the signal ended it
 */
export async function runRowtune({ node, program, args, env, onLine, signal }: RowtuneCall): Promise<Readonly<Record<string, unknown>>> {
  const child = spawn(node.command, [program, ...args, '--json'], {
    env: { ...env, ...node.env, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  let output = '';
  const said: string[] = [];
  let thrown: string | undefined;
  child.stdout.on('data', (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-MAX_OUTPUT_CHARS);
  });
  createInterface({ input: child.stderr }).on('line', line => {
    said.push(line);
    if (said.length > 5) said.shift();
    if (THROWN.test(line)) thrown = line;
    onLine?.(line);
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', error =>
      reject(
        signal?.aborted
          ? new DaemonError('canceled', 'the command was canceled')
          : new DaemonError('node-unusable', `${node.command} does not start: ${error.message}`, { hint: 'Set rowtune.node' }),
      ),
    );
    child.on('close', resolve);
  });
  return resultOf(output, status, thrown ?? said.join(' '));
}

/** @param reason what the program said when it ended without a result */
function resultOf(output: string, status: number | null, reason: string): Readonly<Record<string, unknown>> {
  const last = output.trimEnd().split('\n').at(-1) ?? '';
  const value = parseObject(last);
  if (value === undefined)
    throw new DaemonError('trainer-failed', `the trainer ended with status ${status}${reason === '' ? '' : `: ${reason}`}`, {
      hint: 'See the log of Rowtune',
    });
  const error = value.error;
  if (value.ok === false && typeof error === 'object' && error !== null) {
    const { code, message, hint }: Readonly<Record<string, unknown>> = { ...error };
    throw new DaemonError(String(code ?? 'trainer-failed'), String(message), { hint: typeof hint === 'string' ? hint : undefined });
  }
  return value;
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
