/**
 * Prepares the tests in a real editor: the editor, a browser and the package, which is rebuilt and installed as a user would. If something
 * is missing, the tests get the reason.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { makePackage } from '../package.mjs';
import { cacheFolder, say } from '../steps.mjs';
import { ensureEditor } from './install.mjs';
import { ensureChromium } from './programs.mjs';

/** Name of the editor in `editors.mjs`. ROWTUNE_TEST_VSIX is an existing package to test instead of a new one. */
const EDITOR = process.env.ROWTUNE_TEST_EDITOR ?? 'current';

/** Installs the package in the editor. @returns {string} a folder with the extensions, which each test's editor copies */
function installPackage({ node, main }, vsix, folder) {
  const extensions = path.join(folder, 'extensions');
  const places = ['--extensions-dir', extensions, '--user-data-dir', path.join(folder, 'user-data')];
  const options = [...places, '--accept-server-license-terms', '--telemetry-level', 'off'];
  execFileSync(node, [main, '--install-extension', vsix, ...options], { stdio: ['ignore', 'ignore', 'pipe'] });
  return extensions;
}

/**
 * Called by vitest. @param {{ provide: (key: string, value: unknown) => void }} project
 * @returns {Promise<() => void>} a function that removes what was installed
 */
export default async function setup(project) {
  const vsix = process.env.ROWTUNE_TEST_VSIX ?? (await makePackage());
  project.provide('vsix', vsix);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rowtune-extensions-'));
  try {
    const editor = ensureEditor(cacheFolder(), EDITOR);
    project.provide('vscode', { chromium: ensureChromium(), ...editor, extensions: installPackage(editor, vsix, folder) });
  } catch (error) {
    say(`no tests in a real VS Code: ${error.message}`);
    project.provide('vscode', { missing: error.message });
  }
  return () => rmSync(folder, { recursive: true, force: true });
}
