/** The browser that shows the workbench in tests. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { run, StepError, say } from '../steps.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** @returns {string | undefined} the path of a Chromium on this machine; ROWTUNE_CHROMIUM names another */
export function findChromium() {
  if (process.env.ROWTUNE_CHROMIUM) return process.env.ROWTUNE_CHROMIUM;
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  return NAMES.flatMap(name => folders.map(folder => path.join(folder, name))).find(existsSync);
}

/** Installs Debian's where this process may. @returns {string} @throws StepError saying how to get one */
export function ensureChromium() {
  const present = findChromium();
  if (present) return present;
  const mayInstall = process.getuid?.() === 0 && spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status === 0;
  if (!mayInstall)
    throw new StepError('no Chromium was found. Install it (Debian: sudo apt install chromium) or name one with ROWTUNE_CHROMIUM');
  say('installing Chromium for tests (Debian package chromium)');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const options = { env, stdio: ['ignore', 'ignore', 2] };
  run('apt-get', ['update', '-qq'], options);
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium', 'fonts-dejavu-core'], options);
  const installed = findChromium();
  if (!installed) throw new StepError('apt-get installed chromium, but none was found on the path');
  return installed;
}
