/** Finds the Pythons for the interoperability tests: one with Transformers and PEFT, and one with trackers. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensurePython, findPython } from '../../scripts/python-venv.mjs';
import { temporaryFolder } from '../support/machine/temporary-folder.ts';

export type PythonSet = 'reference' | 'trackers';

/**
 * Finds the Python. In CI, the environment is created; elsewhere, only an existing one is used, because it takes a gigabyte.
 * @returns the Python, or why there is none
 */
export async function locatePython(
  cacheDir: string,
  set: PythonSet = 'reference',
): Promise<{ readonly python: string } | { readonly missing: string }> {
  const found = findPython({ cacheDir, set });
  if (found !== undefined) return { python: found };
  if (!process.env.CI) return { missing: `no Python environment of the set '${set}'; CI=1 npm test makes it` };
  try {
    return { python: ensurePython({ cacheDir, set, log: line => process.stderr.write(`${line}\n`) }) };
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) };
  }
}

/** Runs a script of this folder on a request file, without a network. @returns the JSON of its last line: results by name */
export async function runOnRequest<T>(python: string, scriptName: string, request: unknown): Promise<Record<string, T>> {
  const file = join(await temporaryFolder(), 'request.json');
  await writeFile(file, JSON.stringify(request));
  const { stdout } = await promisify(execFile)(python, [join(import.meta.dirname, scriptName), file], {
    maxBuffer: 64 * 2 ** 20,
    // Several threads of OpenMP would spin while they wait for each other, and tiny models leave them nothing else to do.
    env: { ...process.env, HF_HUB_OFFLINE: '1', TRANSFORMERS_OFFLINE: '1', OMP_NUM_THREADS: '1' },
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}');
}
