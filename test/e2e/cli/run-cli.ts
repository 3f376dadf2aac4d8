/** Runs the command line as a user does: the built bundle in its own process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { recordIn } from '../../../trainer/narrow.ts';
import { parseJson } from '../../support/files/read-json.ts';

const root = path.join(import.meta.dirname, '..', '..', '..');
export const golden = path.join(root, 'test', 'golden');
const program = path.join(root, 'bin', 'rowtune.mjs');
/** A separate state folder, so that the user's daemon is not touched. */
const stateDir = mkdtempSync(path.join(os.tmpdir(), 'rowtune-state-'));

export interface CliRun {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** Called with each piece of stderr and with the process. */
  readonly onStderr?: (text: string, child: ChildProcess) => void;
  /** True to close stderr from the start, as if the program that reads it were gone. */
  readonly closesStderr?: boolean;
}

export function cli(
  args: readonly string[],
  { cwd = root, env = {}, stdin = '', onStderr, closesStderr = false }: CliOptions = {},
): Promise<CliRun> {
  if (!existsSync(path.join(root, 'dist', 'rowtune.js'))) throw new Error('dist/ is missing: npm run build');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd,
      env: { ...process.env, ROWTUNE_STATE: stateDir, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      onStderr?.(text, child);
    });
    if (closesStderr) child.stderr.destroy();
    child.on('error', reject);
    child.on('close', (status, signal) => resolve({ status, signal, stdout, stderr }));
    child.stdin.end(stdin);
  });
}

/** Runs a command with --json, whose stdout is one line with an object. */
export async function cliJson(
  args: readonly string[],
  options?: CliOptions,
): Promise<CliRun & { readonly value: Record<string, unknown> }> {
  const run = await cli([...args, '--json'], options);
  const lines = run.stdout.split('\n');
  if (lines.length !== 2 || lines[1] !== '') throw new Error(`stdout is not one line:\n${run.stdout}\nstderr:\n${run.stderr}`);
  return { ...run, value: parseJson(lines[0] ?? '', z.record(z.string(), z.unknown())) };
}

/** Returns the object in the last line of stdout; an empty object for a killed command. */
export const lastValue = ({ stdout }: CliRun): Readonly<Record<string, unknown>> =>
  recordIn(stdout.trimEnd().split('\n').at(-1) ?? '') ?? {};

/** Creates a folder that is removed after `use`. */
export async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'rowtune-e2e-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Writes the tiny Llama with a tokenizer, and lines of text whose characters determine their label, to `folder`. */
export async function makeTinyTask(folder: string): Promise<{ readonly recipe: string }> {
  await cp(path.join(golden, 'llama'), path.join(folder, 'model'), { recursive: true });
  await cp(path.join(golden, 'tiny-tokenizer'), path.join(folder, 'model'), { recursive: true });
  const samples = Array.from({ length: 64 }, (_, i) => {
    const label = i % 2 === 0 ? 'ham' : 'spam';
    return JSON.stringify({ text: `${label === 'ham' ? 'lunch at' : 'WIN $$$'} ${i}`, label });
  });
  await writeFile(path.join(folder, 'train.jsonl'), `${samples.slice(0, 48).join('\n')}\n`);
  await writeFile(path.join(folder, 'heldout.jsonl'), `${samples.slice(48).join('\n')}\n`);
  const recipe = path.join(folder, 'tiny.rowtune.yaml');
  await writeFile(
    recipe,
    [
      'name: tiny',
      'model: model',
      'method: spsft',
      'r: 16',
      'data:',
      '  train: train.jsonl',
      '  eval: heldout.jsonl',
      '  format: text_label',
      '  labels: [ham, spam]',
      '  prompt: "{text}\\n:"',
      'max_length: 64',
      'num_train_epochs: 3',
      'per_device_train_batch_size: 8',
      'learning_rate: 5.0e-3',
      '',
    ].join('\n'),
  );
  return { recipe };
}
