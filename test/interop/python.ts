/** The Python with Transformers and PEFT that the interoperability tests run. */

interface PythonScript {
  readonly findPython: (params: { cacheDir: string }) => string | undefined;
  readonly ensurePython: (params: { cacheDir: string; log: (line: string) => void }) => string;
}

const script = new URL('../../scripts/python-venv.mjs', import.meta.url).href;

/**
 * In CI the environment is made; elsewhere a test run takes one that is there, and installs no gigabyte unasked.
 * @returns the Python, or why there is none
 */
export async function locatePython(cacheDir: string): Promise<{ readonly python: string } | { readonly missing: string }> {
  const { findPython, ensurePython } = (await import(script)) as PythonScript;
  const found = findPython({ cacheDir });
  if (found !== undefined) return { python: found };
  if (!process.env.CI) return { missing: 'no Python environment with Transformers and PEFT; CI=1 npm test makes it, npm run bench too' };
  try {
    return { python: ensurePython({ cacheDir, log: line => process.stderr.write(`${line}\n`) }) };
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) };
  }
}
