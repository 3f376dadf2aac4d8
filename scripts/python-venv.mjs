/**
 * Python environments in the cache folder: PyTorch, Transformers and PEFT as references for tests and the benchmark, and trackers, which
 * read what runs report.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run } from './steps.mjs';

/** For each environment, its requirements file, the modules that must load, and the variable that can name a Python that has them. */
const SETS = {
  reference: { file: 'python-requirements.txt', modules: 'torch, transformers, peft', variable: 'ROWTUNE_PYTHON' },
  preferences: { file: 'preference-requirements.txt', modules: 'torch, transformers, peft, trl', variable: 'ROWTUNE_TRL_PYTHON' },
  trackers: { file: 'tracker-requirements.txt', modules: 'mlflow, trackio', variable: 'ROWTUNE_TRACKER_PYTHON' },
};

const requirementsOf = set => path.join(import.meta.dirname, SETS[set].file);

/** The folder of the environment for these requirements, its Python, and the file that marks it as complete. */
function environmentIn(cacheDir, set) {
  const digest = createHash('sha256')
    .update(readFileSync(requirementsOf(set)))
    .digest('hex')
    .slice(0, 12);
  const folder = path.join(cacheDir, 'python', digest);
  return { folder, python: path.join(folder, 'bin', 'python'), complete: path.join(folder, '.complete') };
}

/**
 * Returns the Python that a variable names (ROWTUNE_PYTHON, ROWTUNE_TRL_PYTHON, ROWTUNE_TRACKER_PYTHON). Otherwise, returns the Python of
 * the environment, if that is complete.
 * @param {{ cacheDir: string, set?: keyof typeof SETS }} params
 * @returns {string | undefined} the path of the Python to run
 */
export function findPython({ cacheDir, set = 'reference' }) {
  const named = process.env[SETS[set].variable];
  if (named) return named;
  const { python, complete } = environmentIn(cacheDir, set);
  return existsSync(complete) ? python : undefined;
}

/**
 * Creates the environment on the first call for a set of requirements (about 1 GB on disk each). Later calls return its Python at once; an
 * interrupted installation is continued. If the variable is set, nothing is installed.
 * @param {{ cacheDir: string, set?: keyof typeof SETS, log: (line: string) => void }} params
 * @returns {string} the path of the Python to run
 * @throws Error that says what is missing
 */
export function ensurePython({ cacheDir, set = 'reference', log }) {
  const found = findPython({ cacheDir, set });
  if (found) return found;
  const { folder, python, complete } = environmentIn(cacheDir, set);
  const { modules } = SETS[set];
  const begin = performance.now();
  mkdirSync(path.dirname(folder), { recursive: true });
  log(`making a Python environment with ${modules} in ${folder} (some minutes, once)`);
  const [program, ...pip] = makeEnvironment(folder, python);
  const options = ['--disable-pip-version-check', '--no-input', '--progress-bar', 'off', '--only-binary=:all:'];
  run(program, [...pip, 'install', ...options, '-r', requirementsOf(set)]);
  run(python, ['-c', `import ${modules}`]);
  writeFileSync(complete, '');
  log(`the Python environment took ${Math.round((performance.now() - begin) / 1000)} s`);
  return python;
}

/** @returns {string[]} the command line of a pip that installs into the environment */
function makeEnvironment(folder, python) {
  if (spawnSync('python3', ['-m', 'venv', folder], { stdio: 'ignore' }).status === 0) return [python, '-m', 'pip'];
  // Debian's Python has venv and pip but lacks ensurepip; pip 22.3 and later can install into an environment from outside.
  run('python3', ['-m', 'venv', '--clear', '--without-pip', folder]);
  return ['python3', '-m', 'pip', '--python', python];
}
