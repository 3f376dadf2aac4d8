/**
 * Before the tests in a real editor: the editor, a browser and the package, which is made anew and installed as a user does it. What is missing
 * is handed on as a reason.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { makePackage } from '../package.mjs';
import { cacheFolder, say } from '../steps.mjs';
import { ensureEditor } from './install.mjs';
import { ensureChromium } from './programs.mjs';

/** Which editor of `editors.mjs` the tests run in; ROWTUNE_TEST_VSIX is a package that is tested as it is. */
const EDITOR = process.env.ROWTUNE_TEST_EDITOR ?? 'current';

/** Has the editor install the package. @returns {string} a folder with the extensions, of which each test's editor takes a copy */
function installPackage({ node, main }, vsix, folder) {
  const extensions = path.join(folder, 'extensions');
  const places = ['--extensions-dir', extensions, '--user-data-dir', path.join(folder, 'user-data')];
  const options = [...places, '--accept-server-license-terms', '--telemetry-level', 'off'];
  execFileSync(node, [main, '--install-extension', vsix, ...options], { stdio: ['ignore', 'ignore', 'pipe'] });
  return extensions;
}

/**
 * Called by vitest. @param {{ provide: (key: string, value: unknown) => void }} project
 * @returns {Promise<() => void>} removes what was installed
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
