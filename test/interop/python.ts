/** The Pythons that the interoperability tests run: one with Transformers and PEFT, one with trackers. */

export type PythonSet = 'reference' | 'trackers';

interface PythonScript {
  readonly findPython: (params: { cacheDir: string; set: PythonSet }) => string | undefined;
  readonly ensurePython: (params: { cacheDir: string; set: PythonSet; log: (line: string) => void }) => string;
}

const script = new URL('../../scripts/python-venv.mjs', import.meta.url).href;

/**
 * In CI the environment is made; elsewhere a test run takes one that is there, and installs no gigabyte unasked.
 * @returns the Python, or why there is none
 */
export async function locatePython(
  cacheDir: string,
  set: PythonSet = 'reference',
): Promise<{ readonly python: string } | { readonly missing: string }> {
  const { findPython, ensurePython } = (await import(script)) as PythonScript;
  const found = findPython({ cacheDir, set });
  if (found !== undefined) return { python: found };
  if (!process.env.CI) return { missing: `no Python environment of the set '${set}'; CI=1 npm test makes it` };
  try {
    return { python: ensurePython({ cacheDir, set, log: line => process.stderr.write(`${line}\n`) }) };
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) };
  }
}
