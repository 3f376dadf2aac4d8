/** A page of the editor in a real Chromium, with its real host: what VS Code does around it (policy, messages, themes) is done here. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { pageHtml } from '../../../client/pages/page-html.ts';
import type { ConnectPage, PageHost, PageKind, PageServices, PageState } from '../../../client/pages/page-services.ts';
import { type ThemeName, themes } from './themes.ts';

/** Debian's, or the one that is named. */
export const CHROMIUM = process.env.ROWTUNE_CHROMIUM ?? '/usr/bin/chromium';
const MEDIA = join(import.meta.dirname, '..', '..', '..', 'dist', 'media');
const ORIGIN = 'https://page.test';

/** Undefined where the pages can be tried; else why not. */
export function whyNot(mediaDir = MEDIA): string | undefined {
  if (!existsSync(CHROMIUM)) return `${CHROMIUM} is missing: apt-get install chromium, or name one in ROWTUNE_CHROMIUM`;
  if (!existsSync(mediaDir)) return 'dist/media is missing: npm run build';
  return undefined;
}

export const launchChromium = (): Promise<Browser> =>
  chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'] });

export interface OpenPageParams<ToPage> {
  readonly browser: Browser;
  readonly kind: PageKind;
  readonly connect: ConnectPage<ToPage>;
  readonly state: PageState;
  readonly services: PageServices;
  readonly theme?: ThemeName;
  readonly size?: { readonly width: number; readonly height: number };
  readonly mediaDir?: string;
}

export interface OpenedPage {
  readonly page: Page;
  /** What the console said, and every error. */
  readonly complaints: string[];
  setTheme(theme: ThemeName): Promise<void>;
  /** As the editor does: the document is made anew, and gets back what it kept. */
  reload(): Promise<void>;
  close(): Promise<void>;
}

/** Typed arrays cross as base64: the protocol of the browser knows only JSON. */
function packed(value: unknown): unknown {
  if (value instanceof Uint8Array || value instanceof Float32Array || value instanceof Int32Array) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return { $array: value.constructor.name, data: bytes.toString('base64') };
  }
  if (Array.isArray(value)) return value.map(packed);
  if (value !== null && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, packed(each)]));
  return value;
}

/** Runs before the page's own scripts. */
const standIn = readFileSync(join(import.meta.dirname, 'stand-in.js'), 'utf8');

export async function openPage<ToPage>(params: OpenPageParams<ToPage>): Promise<OpenedPage> {
  const { browser, kind, connect, services, mediaDir = MEDIA, size = { width: 1280, height: 820 } } = params;
  const context = await browser.newContext({ viewport: size, deviceScaleFactor: 1 });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', message => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()));
  page.on('pageerror', error => complaints.push(String(error)));
  let state = params.state;
  let host: PageHost | undefined;
  let sending = Promise.resolve();
  const post = (message: ToPage): void => {
    const text = JSON.stringify(packed(message));
    sending = sending
      .then(() => page.evaluate(`receiveFromHost(${text})`))
      .then(
        () => undefined,
        () => undefined,
      );
  };
  await page.exposeFunction('sendToHost', (text: string) => {
    const message = JSON.parse(text, (_, value) => (value?.$bytes ? Uint8Array.from(value.$bytes as number[]) : value)) as unknown;
    host?.receive(message);
  });
  await page.addInitScript({ content: `${standIn}\nstandIn(${JSON.stringify(themes[params.theme ?? 'dark'])});` });
  await page.route(`${ORIGIN}/**`, route => {
    const name = new URL(route.request().url()).pathname.slice(1);
    if (name === '') {
      const nonce = 'test';
      const files = { scriptUri: `${ORIGIN}/${kind}.js`, styleUri: `${ORIGIN}/${kind}.css` };
      return route.fulfill({ contentType: 'text/html', body: pageHtml({ title: kind, ...files, cspSource: ORIGIN, nonce, state }) });
    }
    const file = join(mediaDir, name);
    if (!existsSync(file)) return route.fulfill({ status: 404, body: '' });
    const contentType = name.endsWith('.css') ? 'text/css' : name.endsWith('.js') ? 'text/javascript' : 'application/json';
    return route.fulfill({ contentType, body: readFileSync(file) });
  });

  async function open(): Promise<void> {
    host?.dispose();
    host = connect({
      state,
      services,
      post,
      keep: next => {
        state = next;
      },
      setTitle: () => undefined,
    });
    await page.goto(`${ORIGIN}/`);
  }
  await open();
  return {
    page,
    complaints,
    setTheme: async theme => {
      await page.evaluate(`putOnTheme(${JSON.stringify(themes[theme])})`);
    },
    reload: open,
    async close() {
      host?.dispose();
      await context.close();
    },
  };
}
