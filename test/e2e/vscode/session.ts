/** Sets up a test file in a real editor: browser, editor, workspace, and pictures of the screen when a test fails. */
import { rmSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { makeTinyTask, type TinyTask } from '../../support/runs/tiny-task.ts';
import { Workbench } from './driver.ts';
import { type EditorParams, type EditorServer, startEditor } from './editor-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Set by scripts/vscode/setup.mjs: the package, and the paths of browser, editor and installed package, or why there are none. */
    readonly vsix: string;
    readonly vscode:
      | {
          readonly missing?: undefined;
          readonly chromium: string;
          readonly node: string;
          readonly main: string;
          readonly extensions: string;
        }
      | { readonly missing: string };
  }
}

export interface Session {
  readonly browser: Browser;
  readonly editor: EditorServer;
  readonly task: TinyTask;
  /** Opens a window on a folder, by default the task's. A window that a failed test leaves open is photographed. */
  open(name: string, folder?: string): Promise<Workbench>;
}

/**
 * Describes tests that share one editor and run in order; after a failure, the rest is skipped. If the editor can't be installed, the tests
 * are skipped by name, and in CI one test fails with the reason.
 * @param begin fills the workspace before any window opens
 * @param own differences of this editor from those of other tests
 */
export function describeEditor(
  title: string,
  begin: (task: TinyTask) => void,
  tests: (session: () => Session) => void,
  own: Pick<EditorParams, 'settings' | 'cacheDir' | 'extensions'> = {},
): void {
  const found = inject('vscode');
  if (found.missing !== undefined) {
    const reason = `${title} (no VS Code: ${found.missing})`;
    if (process.env.CI) test(reason, () => expect.fail(reason));
    else describe.skip(reason, () => tests(() => expect.fail(reason)));
    return;
  }
  let session: Session | undefined;
  const windows: Workbench[] = [];
  describe(title, () => {
    beforeAll(async () => {
      const task = makeTinyTask();
      begin(task);
      const editor = await startEditor({ editor: found, ...own });
      // With the default young generation of 1 MB, collecting it takes a fifth of a window's processor time.
      const youngGeneration = '--js-flags=--min-semi-space-size=32';
      const args = [
        youngGeneration,
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
      ];
      const browser = await chromium.launch({
        executablePath: found.chromium,
        args: [...args, '--disable-component-update', '--disable-sync'],
      });
      const open = async (name: string, folder = task.folder) => {
        const workbench = await Workbench.open(browser, editor.url(folder), name);
        windows.push(workbench);
        return workbench;
      };
      session = { browser, editor, task, open };
    });
    let failed: string | undefined;
    beforeEach(({ skip }) => {
      if (failed !== undefined) skip(`after the failure of '${failed}'`);
    });
    afterEach(async ({ task: { result, name } }) => {
      if (result?.state !== 'fail') return;
      failed ??= name;
      for (const window of windows)
        console.error(`a picture of the failure: ${await window.screenshot(`failed-${name.replaceAll(/\W+/g, '-')}`).catch(String)}`);
    });
    afterAll(async () => {
      await session?.browser.close();
      try {
        await session?.editor.stop();
      } finally {
        if (session) rmSync(session.task.folder, { recursive: true, force: true });
      }
    });
    tests(() => session ?? expect.fail('the editor did not start'));
  });
}
