/** System programs that the tests in an editor need; Debian packages are installed if this process may. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { run, StepError, say } from '../steps.mjs';

/** @param {readonly string[]} names in order of preference @returns {string | undefined} the path of the first one found */
export function findProgram(names) {
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  return names.flatMap(name => folders.map(folder => path.join(folder, name))).find(existsSync);
}

/**
 * Finds a program, or installs it.
 * @param {{ names: readonly string[], packages: readonly string[], otherwise?: string }} program its names, its Debian packages, and another way to get it
 * @returns {string} its path @throws StepError that says how to get it
 */
export function ensureProgram({ names, packages, otherwise = '' }) {
  const present = findProgram(names);
  if (present) return present;
  const mayInstall = process.getuid?.() === 0 && spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status === 0;
  if (!mayInstall) throw new StepError(`no ${names[0]} was found. Install it (Debian: sudo apt install ${packages.join(' ')})${otherwise}`);
  say(`installing ${packages.join(', ')} for tests (apt-get)`);
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, stdio: ['ignore', 'ignore', 2] };
  run('apt-get', ['update', '-qq'], options);
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], options);
  const installed = findProgram(names);
  if (!installed) throw new StepError(`apt-get installed ${packages.join(', ')}, but there is no ${names[0]} on the path`);
  return installed;
}

const CHROMIUM = {
  names: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
  packages: ['chromium', 'fonts-dejavu-core'],
  otherwise: ' or name one with ROWTUNE_CHROMIUM',
};

/** The browser that shows the workbench. @throws StepError that says how to get one */
export const ensureChromium = () => process.env.ROWTUNE_CHROMIUM ?? ensureProgram(CHROMIUM);
