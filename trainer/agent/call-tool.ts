/** Runs a tool of an agent as a command of the command line, in its own process. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AgentToolName, argumentsOf } from '../catalog/agent-tools.ts';

/** The bundle of the command line, which is next to this one. */
const PROGRAM = fileURLToPath(new URL('./rowtune.js', import.meta.url));
/** Maximum size of the output; a result is one line of JSON. */
const MAX_OUTPUT_BYTES = 4 * 2 ** 20;

export interface ToolResult {
  /** The object that the command printed. */
  readonly value: unknown;
  readonly isError: boolean;
}

interface CallToolParams {
  readonly name: AgentToolName;
  readonly input: Readonly<Record<string, unknown>>;
  /** The base of relative paths. */
  readonly cwd: string;
  readonly signal: AbortSignal;
}

/** @throws Error if the input does not fit the tool, if the signal ends the command, or if it prints no result */
export async function callTool({ name, input, cwd, signal }: CallToolParams): Promise<ToolResult> {
  const args = argumentsOf(name, input, file => path.resolve(cwd, file));
  const output = await outputOf([PROGRAM, ...args, '--json'], { cwd, signal });
  const value: unknown = JSON.parse(output.trimEnd().split('\n').at(-1) ?? '');
  return { value, isError: typeof value === 'object' && value !== null && 'error' in value };
}

function outputOf(args: readonly string[], options: { readonly cwd: string; readonly signal: AbortSignal }): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      ...options,
      env: { ...process.env, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      output += part;
      if (output.length > MAX_OUTPUT_BYTES) child.kill();
    });
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      said = (said + part).slice(-1000);
    });
    child.once('error', reject);
    child.once('close', status => {
      if (output.length > MAX_OUTPUT_BYTES) reject(new Error('the result is too large; ask for fewer runs or lines'));
      else if (output.trim() === '') reject(new Error(`the command ended with status ${status}: ${said.trim()}`));
      else resolve(output);
    });
  });
}
