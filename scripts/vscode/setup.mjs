/** Before the tests in a real editor: the editor, a browser and the package, which is made anew. What is missing is handed on as a reason. */
import { makePackage } from '../package.mjs';
import { cacheFolder, say } from '../steps.mjs';
import { ensureEditor } from './install.mjs';
import { ensureChromium } from './programs.mjs';

/** Which editor of `editors.mjs` the tests run in; ROWTUNE_TEST_VSIX is a package that is tested as it is. */
const EDITOR = process.env.ROWTUNE_TEST_EDITOR ?? 'current';

/** Called by vitest. @param {{ provide: (key: string, value: unknown) => void }} project */
export default async function setup(project) {
  const vsix = process.env.ROWTUNE_TEST_VSIX ?? (await makePackage());
  project.provide('vsix', vsix);
  try {
    project.provide('vscode', { chromium: ensureChromium(), ...ensureEditor(cacheFolder(), EDITOR) });
  } catch (error) {
    say(`no tests in a real VS Code: ${error.message}`);
    project.provide('vscode', { missing: error.message });
  }
}
