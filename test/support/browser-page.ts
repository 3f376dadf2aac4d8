/** A page of the editor in a real browser: its own document with its strict policy, the bundle of now, and a host behind it. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { pageHtml } from '../../client/pages/page-html.ts';
import type { PageKind, PageState } from '../../client/pages/page-services.ts';

const root = join(import.meta.dirname, '..', '..');
const ORIGIN = 'http://page.test';

/** The browser of this machine; undefined where there is none. */
export function findChromium(): string | undefined {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome'])
    try {
      return execFileSync('which', [name], { encoding: 'utf8' }).trim();
    } catch {
      // The next name.
    }
  return undefined;
}

export interface BrowserPage<FromPage> {
  readonly page: Page;
  /** What the page has said, oldest first. */
  readonly said: FromPage[];
  /** Errors of scripts, and what the policy forbade. */
  readonly errors: string[];
  /** Sends a message of the host. */
  post(message: unknown): Promise<void>;
  /** Draws it again, as after a reload of the window: with what the page has kept, and nothing else. */
  reload(): Promise<void>;
}

/** @param onSay is told of each message of the page */
export async function openInBrowser<FromPage>(
  browser: Browser,
  kind: PageKind,
  state: PageState,
  onSay: (message: FromPage) => void = () => undefined,
): Promise<BrowserPage<FromPage>> {
  const bundle = await build({
    absWorkingDir: root,
    bundle: true,
    write: false,
    entryPoints: [`media/${kind}.ts`, `media/${kind}.css`],
    outdir: 'dist/media',
    format: 'esm',
    target: 'es2022',
  });
  const textOf = (ending: string): string => bundle.outputFiles.find(({ path }) => path.endsWith(ending))?.text ?? '';
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  const said: FromPage[] = [];
  const errors: string[] = [];
  let kept: unknown;
  page.on('pageerror', error => errors.push(String(error)));
  page.on('console', message => message.type() === 'error' && errors.push(message.text()));
  await page.exposeFunction('sayToHost', (message: FromPage) => {
    said.push(message);
    onSay(message);
  });
  await page.exposeFunction('keepState', (next: unknown) => {
    kept = next;
  });
  await page.route(`${ORIGIN}/**`, route => {
    const url = route.request().url();
    if (url.endsWith('.css')) return route.fulfill({ contentType: 'text/css', body: textOf('.css') });
    if (url.endsWith('.js')) return route.fulfill({ contentType: 'text/javascript', body: textOf('.js') });
    if (!url.endsWith('/')) return route.fulfill({ status: 404 });
    const api = `globalThis.acquireVsCodeApi = () => ({ postMessage: m => sayToHost(m), getState: () => (${JSON.stringify(kept ?? null)}) ?? undefined, setState: s => keepState(s) });`;
    const nonce = 'abc';
    const html = pageHtml({ title: kind, scriptUri: `${ORIGIN}/page.js`, styleUri: `${ORIGIN}/page.css`, cspSource: ORIGIN, nonce, state });
    return route.fulfill({
      contentType: 'text/html',
      body: html.replace('<body>', `<body class="vscode-dark"><script nonce="${nonce}">${api}</script>`),
    });
  });
  await page.goto(`${ORIGIN}/`);
  return {
    page,
    said,
    errors,
    post: message => page.evaluate(`postMessage(${JSON.stringify(message)}, '*')`),
    reload: async () => {
      await page.reload();
    },
  };
}
