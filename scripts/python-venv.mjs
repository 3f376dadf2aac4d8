/** A Python environment with PyTorch, Transformers and PEFT in the cache folder: what tests and the benchmark compare with. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run } from './steps.mjs';

const REQUIREMENTS = path.join(import.meta.dirname, 'python-requirements.txt');

/**
 * Makes the environment once for each set of requirements (about 1 GB on the disk) and returns its Python at once afterwards; an
 * install that was cut off is gone on with. ROWTUNE_PYTHON names a Python that has the packages already, and nothing is installed.
 * @param {{ cacheDir: string, log: (line: string) => void }} params
 * @returns {string} the path of the Python to run
 * @throws StepError when Python 3.10 or later, its pip or the network is missing
 */
export function ensurePython({ cacheDir, log }) {
  if (process.env.ROWTUNE_PYTHON) return process.env.ROWTUNE_PYTHON;
  const digest = createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 12);
  const folder = path.join(cacheDir, 'python', digest);
  const python = path.join(folder, 'bin', 'python');
  const complete = path.join(folder, '.complete');
  if (existsSync(complete)) return python;
  mkdirSync(path.dirname(folder), { recursive: true });
  log(`making a Python environment with PyTorch, Transformers and PEFT in ${folder} (some minutes, once)`);
  const pip = makeEnvironment(folder, python);
  const options = ['--disable-pip-version-check', '--no-input', '--progress-bar', 'off', '--only-binary=:all:'];
  run(pip[0], [...pip.slice(1), 'install', ...options, '-r', REQUIREMENTS]);
  run(python, ['-c', 'import torch, transformers, peft']);
  writeFileSync(complete, '');
  return python;
}

/** @returns {string[]} the command line of a pip that installs into it */
function makeEnvironment(folder, python) {
  if (spawnSync('python3', ['-m', 'venv', folder], { stdio: 'ignore' }).status === 0) return [python, '-m', 'pip'];
  // Debian's Python has venv and pip but not what puts pip into a venv; pip 22.3 and later install into one from outside.
  run('python3', ['-m', 'venv', '--clear', '--without-pip', folder]);
  return ['python3', '-m', 'pip', '--python', python];
}
