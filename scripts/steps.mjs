/** The steps that a fresh clone needs first: packages, bundles, engine. Plain Node, because it runs before `npm ci`. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export const root = path.dirname(import.meta.dirname);

export const say = line => process.stderr.write(`${line}\n`);

export class StepError extends Error {
  name = 'StepError';
}

/** Runs a program whose stdout goes to stderr. @throws StepError if it fails */
export function run(program, args, options = {}) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  if (status !== 0) throw new StepError(`${[program, ...args].join(' ')} failed (${error?.message ?? `exit status ${status}`})`);
}

/** Runs npm, without a shell if possible; on Windows, `npm` is a script that only a shell finds. */
export function npm(args, options = {}) {
  const script = process.env.npm_execpath;
  if (script?.endsWith('.js')) run(process.execPath, [script, ...args], options);
  else run(process.platform === 'win32' ? 'npm.cmd' : 'npm', args, { shell: process.platform === 'win32', ...options });
}

/** True if node_modules has exactly the versions in package-lock.json, according to npm's own record in node_modules. */
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

/** Always builds: it takes less than a second, so checking whether it is necessary is not worthwhile. */
export function buildBundles() {
  run(process.execPath, [path.join(root, 'scripts', 'build.mjs')]);
}

/**
 * Runs the command line with --json and returns its result. Its messages go to stderr as they are printed.
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

/** The folder of engines, models and data. Only the command line determines its path. */
export const cacheFolder = () => rowtune(['engine', 'list']).value.cacheDir;

/** True if one of these builds is installed, with everything that this version of Rowtune compiles. */
function isReady(...variants) {
  const found = rowtune(['engine', 'list']).value.engines.filter(({ manifest }) => variants.includes(manifest.variant));
  return found.length > 0 && found.every(({ isCurrent }) => isCurrent);
}

/** Installs the PJRT plugin for CPUs (63 MB), if possible; otherwise, tests that need it are skipped. */
export function ensurePjrt() {
  if (isReady('pjrt-cpu')) return;
  const { status } = rowtune(['engine', 'install', '--variant', 'pjrt-cpu']);
  if (status !== 0) say('continuing without the PJRT plugin');
}

/**
 * Installs the plugins of NVIDIA (234 MB), AMD (133 MB) and Google (137 MB) to compile for cards and TPUs that are not present, if possible;
 * otherwise, tests that need them are skipped.
 */
export function ensureCardCompilers() {
  for (const [maker, ...variants] of [
    ['NVIDIA', 'cuda13', 'cuda12'],
    ['AMD', 'rocm7'],
    ['Google', 'tpu'],
  ]) {
    if (isReady(...variants)) continue;
    const { status } = rowtune(['engine', 'install', '--variant', variants[0], '--compile-only']);
    if (status !== 0) say(`continuing without the compiler of ${maker}`);
  }
}

/** Installs llama.cpp (85 MB) and ONNX Runtime (288 MB), with which exports are compared; otherwise, these comparisons are skipped. */
export function ensureCheckers() {
  for (const tool of ['llama.cpp', 'onnxruntime']) {
    const { status } = rowtune(['engine', 'install', '--with', tool]);
    if (status !== 0) say(`continuing without ${tool}`);
  }
}

/** Gives up on a server that does not answer, and on another program that is installing packages. */
const APT_OPTIONS = ['-qq', '-o', 'Acquire::Retries=1', '-o', 'Acquire::http::Timeout=20', '-o', 'DPkg::Lock::Timeout=60'];
/** Time limits in ms. Unpacking takes a few seconds; its limit is longer, because an interrupted installation must be repaired. */
const APT_LIMITS_MS = { update: 120_000, download: 300_000, install: 300_000 };

/** Runs apt-get with a time limit. @returns {string | undefined} the error in one line if it failed */
function aptGet(name, args, timeout) {
  const { status, error, stderr } = spawnSync('apt-get', [...APT_OPTIONS, name, ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeout,
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status === 0) return undefined;
  if (error?.code === 'ETIMEDOUT') return `apt-get ${name} took longer than ${timeout / 1000} s`;
  return error?.message ?? stderr.trim().split('\n').at(-1);
}

/** Installs Debian packages. @returns {string | undefined} why they cannot be installed */
function installPackages(packages) {
  const wanted = ['--yes', '--no-install-recommends', ...packages];
  const download = () => aptGet('install', [...wanted, '--download-only'], APT_LIMITS_MS.download);
  // The package lists may be missing or out of date.
  const failed = download() && (aptGet('update', [], APT_LIMITS_MS.update) ?? download());
  return failed ?? aptGet('install', [...wanted, '--no-download'], APT_LIMITS_MS.install);
}

/** Folders that Vulkan's loader searches for drivers on Linux, if no variable names any. */
const VULKAN_DRIVERS = ['/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/usr/share/vulkan/icd.d'];
const VULKAN_VARIABLES = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES', 'VK_ADD_DRIVER_FILES'];
const VULKAN_PACKAGES = ['libvulkan1', 'mesa-vulkan-drivers'];

const hasVulkan = () =>
  VULKAN_VARIABLES.some(name => process.env[name]) || VULKAN_DRIVERS.some(folder => existsSync(folder) && readdirSync(folder).length > 0);

/**
 * Installs Mesa's Vulkan drivers, one of which computes on the processor, so that the WebGPU tests run without a GPU. This happens only in
 * continuous integration, as root, with apt-get. Without a driver, those tests are skipped with the reason.
 */
export function ensureVulkan() {
  if (process.platform !== 'linux' || hasVulkan()) return;
  const command = `apt-get install ${VULKAN_PACKAGES.join(' ')}`;
  if (!process.env.CI || process.getuid?.() !== 0) {
    say(`continuing without a driver for Vulkan; for the tests of WebGPU, run as root: ${command}`);
    return;
  }
  say(`installing Mesa's drivers for Vulkan (${command})`);
  const reason = installPackages(VULKAN_PACKAGES);
  if (reason !== undefined) say(`continuing without a driver for Vulkan: ${reason}`);
}

/** The programs that the tests start, as named in Debian's folders. */
const SLURM_PROGRAMS = ['munged', 'slurmctld', 'slurmd', 'sbatch', 'srun'];
const PROGRAM_FOLDERS = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const SLURM_PACKAGES = ['slurm-wlm', 'munge'];

/**
 * Installs Debian's Slurm (8 MB), whose daemons the tests start, in continuous integration or on request, as root, with apt-get. Without
 * Slurm, those tests are skipped with the reason.
 */
export function ensureSlurm() {
  if (process.platform !== 'linux') return;
  if (SLURM_PROGRAMS.every(name => PROGRAM_FOLDERS.some(folder => existsSync(path.join(folder, name))))) return;
  if (process.getuid?.() !== 0 || !(process.env.CI || process.env.ROWTUNE_TEST_SLURM)) {
    say('continuing without Slurm; for its tests, run as root: npm run test:slurm');
    return;
  }
  say(`installing Slurm (apt-get install ${SLURM_PACKAGES.join(' ')})`);
  const reason = installPackages(SLURM_PACKAGES);
  if (reason !== undefined) say(`continuing without Slurm: ${reason}`);
}

/**
 * Installs TensorFlow, if possible; otherwise, a message says that the portable engine runs. @returns {boolean} true if TensorFlow is
 * installed
 */
export function ensureEngine() {
  if (isReady('cpu', 'cuda')) return true;
  const { status } = rowtune(['engine', 'install']);
  if (status !== 0) say('continuing with the portable engine, which needs nothing else and is slower');
  return status === 0;
}

/**
 * Runs a script that people type: reads its options, then does the work, and reports each mistake in one line.
 * @template {{ help?: boolean }} Options
 * @param {{ name: string, help: string, readOptions: () => Options, run: (options: Options) => Promise<boolean | void> }} script
 * @returns {Promise<number>} the exit status: 2 for wrong options, 1 if the work failed or `run` resolves with false
 */
export async function runScript({ name, help, readOptions, run: work }) {
  let wanted;
  try {
    wanted = readOptions();
  } catch (error) {
    say(`${error.message}\n${help}`);
    return 2;
  }
  if (wanted.help) {
    console.log(help);
    return 0;
  }
  try {
    return (await work(wanted)) === false ? 1 : 0;
  } catch (error) {
    say(`${name}: ${error.message}`);
    return 1;
  }
}
