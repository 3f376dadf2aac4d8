/** A Python environment with PyTorch, Transformers and PEFT in the cache folder: what tests and the benchmark compare with. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run } from './steps.mjs';

const REQUIREMENTS = path.join(import.meta.dirname, 'python-requirements.txt');

/** The folder of the environment for these requirements, its Python, and the file that marks it as complete. */
function environmentIn(cacheDir) {
  const digest = createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 12);
  const folder = path.join(cacheDir, 'python', digest);
  return { folder, python: path.join(folder, 'bin', 'python'), complete: path.join(folder, '.complete') };
}

/**
 * ROWTUNE_PYTHON names a Python that has the packages already; else it is the environment's, where that is complete.
 * @param {{ cacheDir: string }} params
 * @returns {string | undefined} the path of the Python to run
 */
export function findPython({ cacheDir }) {
  if (process.env.ROWTUNE_PYTHON) return process.env.ROWTUNE_PYTHON;
  const { python, complete } = environmentIn(cacheDir);
  return existsSync(complete) ? python : undefined;
}

/**
 * Makes the environment once for each set of requirements (about 1 GB on the disk) and returns its Python at once afterwards; an
 * interrupted install is continued. Where ROWTUNE_PYTHON is set, nothing is installed.
 * @param {{ cacheDir: string, log: (line: string) => void }} params
 * @returns {string} the path of the Python to run
 * @throws Error that says what is missing
 */
export function ensurePython({ cacheDir, log }) {
  const found = findPython({ cacheDir });
  if (found) return found;
  const { folder, python, complete } = environmentIn(cacheDir);
  const begin = performance.now();
  mkdirSync(path.dirname(folder), { recursive: true });
  log(`making a Python environment with PyTorch, Transformers and PEFT in ${folder} (some minutes, once)`);
  const [program, ...pip] = makeEnvironment(folder, python);
  const options = ['--disable-pip-version-check', '--no-input', '--progress-bar', 'off', '--only-binary=:all:'];
  run(program, [...pip, 'install', ...options, '-r', REQUIREMENTS]);
  run(python, ['-c', 'import torch, transformers, peft']);
  writeFileSync(complete, '');
  log(`the Python environment took ${Math.round((performance.now() - begin) / 1000)} s`);
  return python;
}

/** @returns {string[]} the command line of a pip that installs into it */
function makeEnvironment(folder, python) {
  if (spawnSync('python3', ['-m', 'venv', folder], { stdio: 'ignore' }).status === 0) return [python, '-m', 'pip'];
  // Debian's Python has venv and pip but not what puts pip into a venv; pip 22.3 and later install into one from outside.
  run('python3', ['-m', 'venv', '--clear', '--without-pip', folder]);
  return ['python3', '-m', 'pip', '--python', python];
}
