/** The steps that a fresh clone needs before anything else runs: packages, bundles, engine. Plain Node, since it runs before `npm ci`. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export const root = path.dirname(import.meta.dirname);

export const say = line => process.stderr.write(`${line}\n`);

export class StepError extends Error {
  name = 'StepError';
}

/** Runs a program, its stdout shown on stderr. @throws StepError when it fails */
export function run(program, args, options = {}) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  if (status !== 0) throw new StepError(`${[program, ...args].join(' ')} failed (${error?.message ?? `exit status ${status}`})`);
}

/** npm itself, started without a shell where that can be: on Windows `npm` is a script that only a shell finds. */
export function npm(args, options = {}) {
  const script = process.env.npm_execpath;
  if (script?.endsWith('.js')) run(process.execPath, [script, ...args], options);
  else run(process.platform === 'win32' ? 'npm.cmd' : 'npm', args, { shell: process.platform === 'win32', ...options });
}

/** True when node_modules holds exactly the versions of package-lock.json; npm's own record in node_modules says what is there. */
export function packagesAreInstalled() {
  const record = path.join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  const wanted = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(readFileSync(record, 'utf8')).packages;
  return Object.entries(wanted).every(
    ([name, { version, optional }]) =>
      name === '' || present[name]?.version === version || (optional === true && present[name] === undefined),
  );
}

export function ensurePackages() {
  if (packagesAreInstalled()) return;
  say('installing the packages of package-lock.json (npm ci)');
  npm(['ci', '--no-audit', '--no-fund']);
}

/** Always: it takes less than a second, less than finding out whether it is needed would be worth. */
export function buildBundles() {
  run(process.execPath, [path.join(root, 'scripts', 'build.mjs')]);
}

/**
 * Runs the command line and gives what it prints with --json. Its own messages go to stderr as they come.
 * @returns {{ status: number, value: any }}
 */
export function rowtune(args, options = {}) {
  const { status, stdout, error } = spawnSync(process.execPath, [path.join(root, 'bin', 'rowtune.mjs'), ...args, '--json'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 64 * 2 ** 20,
    ...options,
  });
  if (error) throw new StepError(`rowtune ${args.join(' ')} could not be started: ${error.message}`);
  return { status: status ?? 1, value: JSON.parse(stdout.trim().split('\n').at(-1) ?? 'null') };
}

/** The folder of engines, models and data. Only the command line decides where it is. */
export const cacheFolder = () => rowtune(['engine', 'list']).value.cacheDir;

/** Whether one of these builds is installed, with everything that this version of Rowtune compiles. */
function isReady(...variants) {
  const found = rowtune(['engine', 'list']).value.engines.filter(({ manifest }) => variants.includes(manifest.variant));
  return found.length > 0 && found.every(({ isCurrent }) => isCurrent);
}

/** Installs the PJRT plugin for CPUs (63 MB) where it can be; tests that need it are skipped elsewhere. */
export function ensurePjrt() {
  if (isReady('pjrt-cpu')) return;
  const { status } = rowtune(['engine', 'install', '--variant', 'pjrt-cpu']);
  if (status !== 0) say('continuing without the PJRT plugin');
}

/** The folders in which Vulkan's loader looks for drivers on Linux, if no variable names them. */
const VULKAN_DRIVERS = ['/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/usr/share/vulkan/icd.d'];
const VULKAN_VARIABLES = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES', 'VK_ADD_DRIVER_FILES'];
const VULKAN_PACKAGES = ['libvulkan1', 'mesa-vulkan-drivers'];

const hasVulkan = () =>
  VULKAN_VARIABLES.some(name => process.env[name]) || VULKAN_DRIVERS.some(folder => existsSync(folder) && readdirSync(folder).length > 0);

/**
 * Installs Mesa's drivers for Vulkan, one of which computes on the processor, so that the tests of WebGPU run without a GPU: in continuous
 * integration, as root, with apt-get. Elsewhere nothing is installed, and where there is no driver those tests are skipped, with the reason.
 */
export function ensureVulkan() {
  if (process.platform !== 'linux' || hasVulkan()) return;
  const command = `apt-get install ${VULKAN_PACKAGES.join(' ')}`;
  if (!process.env.CI || process.getuid?.() !== 0) {
    say(`continuing without a driver for Vulkan; for the tests of WebGPU, run as root: ${command}`);
    return;
  }
  say(`installing Mesa's drivers for Vulkan (${command})`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    run('apt-get', ['update', '--quiet=2'], { env });
    run('apt-get', ['install', '--quiet=2', '--yes', '--no-install-recommends', ...VULKAN_PACKAGES], { env });
  } catch (error) {
    say(`continuing without a driver for Vulkan: ${error.message}`);
  }
}

/** Installs TensorFlow where it can be; without it the portable engine runs, and that is said. @returns {boolean} whether it is there */
export function ensureEngine() {
  if (isReady('cpu', 'cuda')) return true;
  const { status } = rowtune(['engine', 'install']);
  if (status !== 0) say('continuing with the portable engine, which needs nothing else and is slower');
  return status === 0;
}
