/** A page of the editor in a real browser: its real document with its strict policy, the current bundle, and a host. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { pageHtml } from '../../../client/pages/page-html.ts';
import type { ConnectPage, PageKind, PageServices, PageState } from '../../../client/pages/page-services.ts';
import { openTestPage } from './page-host.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const ORIGIN = 'http://page.test';
/** Time limit for a page's own actions, on a busy machine. */
const PATIENCE_MS = 60_000;

/** Finds a browser on this machine; returns undefined if there is none. */
export function findChromium(): string | undefined {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome'])
    try {
      return execFileSync('which', [name], { encoding: 'utf8' }).trim();
    } catch {
      // Try the next name.
    }
  return undefined;
}

export interface BrowserPage<FromPage> {
  readonly page: Page;
  /** The page's messages, oldest first. */
  readonly said: FromPage[];
  /** Errors of scripts, and violations of the policy. */
  readonly errors: string[];
  /** Sends a message from the host, after all earlier ones. */
  post(message: unknown): Promise<void>;
  /** Reloads the page as after a reload of the window: only with the state that it saved. */
  reload(): Promise<void>;
}

/** The object that `acquireVsCodeApi` returns. It stores state at once, so that an immediate reload finds it. */
const EDITOR_API = `globalThis.acquireVsCodeApi = () => ({
  postMessage: message => sayToHost(message),
  getState: () => JSON.parse(sessionStorage.getItem('state') ?? 'null') ?? undefined,
  setState: state => sessionStorage.setItem('state', JSON.stringify(state)),
});`;

/** @param onSay called with each message of the page */
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
  page.setDefaultTimeout(PATIENCE_MS);
  const said: FromPage[] = [];
  const errors: string[] = [];
  /** Messages to a document that is about to be replaced are sent to the next one. */
  let sending: Promise<unknown> = Promise.resolve();
  page.on('pageerror', error => errors.push(String(error)));
  page.on('console', message => message.type() === 'error' && errors.push(message.text()));
  await page.exposeFunction('sayToHost', (message: FromPage) => {
    said.push(message);
    onSay(message);
  });
  await page.route(`${ORIGIN}/**`, route => {
    const url = route.request().url();
    if (url.endsWith('.css')) return route.fulfill({ contentType: 'text/css', body: textOf('.css') });
    if (url.endsWith('.js')) return route.fulfill({ contentType: 'text/javascript', body: textOf('.js') });
    if (!url.endsWith('/')) return route.fulfill({ status: 404 });
    const nonce = 'abc';
    const html = pageHtml({ title: kind, scriptUri: `${ORIGIN}/page.js`, styleUri: `${ORIGIN}/page.css`, cspSource: ORIGIN, nonce, state });
    return route.fulfill({
      contentType: 'text/html',
      body: html.replace('<body>', `<body class="vscode-dark"><script nonce="${nonce}">${EDITOR_API}</script>`),
    });
  });
  await page.goto(`${ORIGIN}/`);
  return {
    page,
    said,
    errors,
    post: message => {
      const send = () => page.evaluate(`postMessage(${expression(message)}, '*')`);
      const sent = sending.then(send).catch(error => (page.isClosed() ? undefined : send().catch(() => Promise.reject(error))));
      sending = sent.catch(() => undefined);
      return sent.then(() => undefined);
    },
    reload: async () => {
      await page.reload();
    },
  };
}

/** Opens a page with its host; both end with the page. */
export async function openWithHost<FromPage, ToPage>(
  browser: Browser,
  kind: PageKind,
  { connect, state, services }: { readonly connect: ConnectPage<ToPage>; readonly state: PageState; readonly services: PageServices },
): Promise<BrowserPage<FromPage>> {
  let shown: BrowserPage<FromPage> | undefined;
  const early: ToPage[] = [];
  const post = (message: ToPage): void => void shown?.post(message).catch(() => undefined);
  const host = openTestPage(connect, { state, services, onPost: message => (shown ? post(message) : early.push(message)) });
  shown = await openInBrowser<FromPage>(browser, kind, state, message => host.receive(message));
  for (const message of early) post(message);
  shown.page.once('close', () => host.dispose());
  return shown;
}

/** Returns an expression that creates the value, because the browser protocol has no typed arrays. */
function expression(value: unknown): string {
  if (value instanceof Float32Array || value instanceof Int32Array) return `new ${value.constructor.name}([${value.join()}])`;
  if (Array.isArray(value)) return `[${value.map(expression).join()}]`;
  if (value !== null && typeof value === 'object')
    return `{${Object.entries(value)
      .map(([key, each]) => `${JSON.stringify(key)}:${expression(each)}`)
      .join()}}`;
  return JSON.stringify(value) ?? 'undefined';
}
