/**
 * Installs a real VS Code for the tests, once, below the cache folder. To do so by hand: `node scripts/vscode/install.mjs
 * [current|oldest]`. The publisher's npm packages are sources with their own lock file; the few native parts are compiled here.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder, npm, StepError, say } from '../steps.mjs';
import { EDITORS } from './editors.mjs';
import { ensureProgram } from './programs.mjs';

/** A file that is written last; a folder without it is incomplete. */
const DONE = 'installed.json';
/** Hides the warnings of the editor's packages, which are not ours to fix. */
const QUIET = ['ignore', 'ignore', 2];

const editorFolder = (cacheDir, name) => path.join(cacheDir, 'vscode', EDITORS[name].codeServer);

/**
 * Returns an installed editor.
 * @param {string} cacheDir @param {keyof typeof EDITORS} name
 * @returns {{ node: string, main: string } | undefined} the Node to start and the server's script; undefined if it is not installed
 */
export function findEditor(cacheDir, name) {
  const folder = editorFolder(cacheDir, name);
  if (!existsSync(path.join(folder, DONE))) return undefined;
  return { node: nodeOf(folder, name).program, main: path.join(vscodeOf(folder), 'out', 'server-main.js') };
}

const vscodeOf = folder => path.join(folder, 'node_modules', 'code-server', 'lib', 'vscode');

function nodeOf(folder, name) {
  if (EDITORS[name].node === undefined) return { program: process.execPath, root: path.dirname(path.dirname(process.execPath)) };
  const root = path.join(folder, 'node_modules', `node-${process.platform}-${process.arch}`);
  return { program: path.join(root, 'bin', 'node'), root };
}

/** @throws StepError if the editor cannot be installed */
export function ensureEditor(cacheDir, name) {
  if (!(name in EDITORS)) throw new StepError(`there is no editor '${name}', only ${Object.keys(EDITORS).join(' and ')}`);
  const present = findEditor(cacheDir, name);
  if (present) return present;
  if (process.platform !== 'linux') throw new StepError(`VS Code for tests is installed on Linux only, not on ${process.platform}`);
  const { codeServer, node, rebuild } = EDITORS[name];
  const folder = editorFolder(cacheDir, name);
  const partial = `${folder}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  writeFileSync(path.join(partial, 'package.json'), '{ "private": true }\n');
  say(`installing VS Code ${EDITORS[name].vscode} for tests (code-server ${codeServer}, about a minute, once)`);
  const options = ['--ignore-scripts', '--force', '--no-audit', '--no-fund', '--omit=dev', '--loglevel=error'];
  const packages = [`code-server@${codeServer}`, ...(node === undefined ? [] : [`node-${process.platform}-${process.arch}@${node}`])];
  npm(['install', ...options, ...packages], { cwd: partial, stdio: QUIET });
  const vscode = vscodeOf(partial);
  // The editor's own Node comes first on the path, and its headers are used for compiling.
  const { program, root } = nodeOf(partial, name);
  const hasHeaders = existsSync(path.join(root, 'include', 'node', 'node.h'));
  const env = {
    ...process.env,
    PATH: `${path.join(root, 'bin')}${path.delimiter}${process.env.PATH}`,
    ...(hasHeaders ? { npm_config_nodedir: root } : {}),
  };
  npm(['install', ...options], { cwd: vscode, env, stdio: QUIET });
  npm(['install', ...options], { cwd: path.join(vscode, 'extensions'), env, stdio: QUIET });
  compile(vscode, rebuild, program, env);
  symlinkSync('node_modules', path.join(vscode, 'node_modules.asar'));
  linkRipgrep(vscode);
  writeFileSync(path.join(partial, DONE), JSON.stringify({ codeServer, node }));
  rmSync(folder, { recursive: true, force: true });
  renameSync(partial, folder);
  return findEditor(cacheDir, name);
}

/**
 * Compiles the native parts. A part may fail in a step that does not matter, or come compiled, so the test is whether the editor's Node
 * loads it.
 */
function compile(vscode, packages, node, env) {
  try {
    // Under `npm test`, the project's own .npmrc, which disables scripts of packages, would apply here, too.
    npm(['rebuild', '--ignore-scripts=false', ...packages], { cwd: vscode, env, stdio: 'ignore' });
  } catch (error) {
    say(`${error.message}; continuing if the parts load`);
  }
  const script = `${JSON.stringify(packages)}.forEach(name => require(name))`;
  const { status, stderr } = spawnSync(node, ['-e', script], { cwd: vscode, encoding: 'utf8' });
  if (status !== 0)
    throw new StepError(`native parts of VS Code do not load (compiling them takes python3, make and g++): ${stderr.trim()}`);
}

/** Links ripgrep, which searching for files needs. The current editor includes it; older ones would download it. */
function linkRipgrep(vscode) {
  const bin = path.join(vscode, 'node_modules', '@vscode', 'ripgrep', 'bin');
  if (!existsSync(path.dirname(bin)) || existsSync(path.join(bin, 'rg'))) return;
  const ripgrep = ensureProgram({ names: ['rg'], packages: ['ripgrep'] });
  mkdirSync(bin, { recursive: true });
  symlinkSync(ripgrep, path.join(bin, 'rg'));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(JSON.stringify(ensureEditor(cacheFolder(), process.argv[2] ?? 'current')));
}
