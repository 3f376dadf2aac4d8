/** Measures frames of the heatmap at the size of the largest open model, in a real browser, while a user pans and zooms. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { pageHtml } from '../client/pages/page-html.ts';
import type { HeatmapToPage } from '../trainer/protocol/view/heatmap.ts';

/** The sizes of Llama 3.1 405B. */
const LAYERS = 126;
const ROWS = { q: 16384, k: 1024, v: 1024, o: 16384, gate: 53248, up: 53248, down: 16384 } as const;
const ORIGIN = 'http://page.test';
const NONCE = 'bench';
const FILE = '/scores';
const SET = { path: FILE, key: 'taylor' };
/** Time of one frame at 60 frames per second. */
const FRAME_MS = 1000 / 60;
/** Number of mouse moves in one gesture. */
const MOVES = 120;

export interface Gesture {
  readonly name: string;
  readonly frames: number;
  /** Work of the page in one frame, in ms. */
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly worstMs: number;
  /** Number of frames whose work alone exceeds the time of a frame. */
  readonly late: number;
}

export interface PagesParams {
  /** The folder with the bundles of the pages. */
  readonly mediaDir: string;
  readonly executablePath: string;
}

export async function runPagesBench({ mediaDir, executablePath }: PagesParams): Promise<readonly Gesture[]> {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  try {
    const page = await openHeatmap(browser, mediaDir);
    const grid = page.locator('.grid-view canvas');
    const results = [await measured(page, 'grid: point at cells', () => move(page, grid, 0))];
    results.push(await measured(page, 'grid: zoom', () => wheel(page, grid, true)));
    results.push(await measured(page, 'grid: pan', () => drag(page, grid, 'y')));
    results.push(await measured(page, 'budget slider', () => slide(page)));
    // The largest module is in the fifth column.
    await page
      .getByRole('button', { name: 'Show all' })
      .or(page.getByRole('button', { name: 'Fit' }))
      .first()
      .click();
    const box = await boxOf(grid);
    await page.mouse.click(box.x + box.width * 0.64, box.y + box.height * 0.5);
    const strip = page.locator('.cell-panel canvas').first();
    await strip.waitFor();
    results.push(await measured(page, 'cell of 53,248 neurons: point', () => move(page, strip, 0)));
    results.push(await measured(page, 'cell of 53,248 neurons: zoom', () => wheel(page, strip, false)));
    results.push(await measured(page, 'cell of 53,248 neurons: pan', () => drag(page, strip, 'x')));
    return results;
  } finally {
    await browser.close();
  }
}

async function openHeatmap(browser: Browser, mediaDir: string): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1600, height: 1000 } });
  page.on('pageerror', error => console.error(error));
  await page.route(`${ORIGIN}/**`, route => {
    const name = new URL(route.request().url()).pathname.slice(1);
    if (name !== '')
      return route.fulfill({
        body: readFileSync(path.join(mediaDir, name)),
        contentType: name.endsWith('.css') ? 'text/css' : 'text/javascript',
      });
    const html = pageHtml({
      title: 'heatmap',
      scriptUri: `${ORIGIN}/heatmap.js`,
      styleUri: `${ORIGIN}/heatmap.css`,
      cspSource: ORIGIN,
      nonce: NONCE,
      state: {},
    });
    return route.fulfill({
      contentType: 'text/html',
      body: html.replace('<body>', `<body class="vscode-dark"><script nonce="${NONCE}">${PRELUDE}</script>`),
    });
  });
  await page.goto(`${ORIGIN}/`);
  const modules = Array.from({ length: LAYERS }, (_, layer) =>
    Object.entries(ROWS).map(([kind, rows]) => ({
      name: `model.layers.${layer}.${['q', 'k', 'v', 'o'].includes(kind) ? 'self_attn' : 'mlp'}.${kind}_proj`,
      shape: [rows, kind === 'down' ? 53248 : 16384],
      rowParameters: kind === 'down' ? 53248 : 16384,
    })),
  ).flat();
  const sources: HeatmapToPage = {
    type: 'sources',
    candidates: [],
    colorMap: 'viridis',
    sources: [{ path: FILE, label: 'bench', kind: 'scores', sets: [{ key: SET.key, measure: 'taylor' }], modules, isPartial: false }],
  };
  await page.evaluate(`postMessage(${JSON.stringify(sources)}, '*'); sendScores(${JSON.stringify(modules)}, ${JSON.stringify(SET)})`);
  await page.getByText(/ rows \(\d/).waitFor({ timeout: 120_000 });
  // Wait for the end of sorting, which runs between frames.
  await page.waitForFunction('document.querySelector(".message")?.hidden !== false');
  await page.waitForTimeout(15_000);
  return page;
}

/** Code that runs in the page: the editor's API, scores with a heavy-tailed distribution, and a timer around the work of each frame. */
const PRELUDE = `
globalThis.acquireVsCodeApi = () => ({ postMessage: () => {}, getState: () => undefined, setState: () => {} });
let seed = 1;
const uniform = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32 + 1e-9;
globalThis.sendScores = (modules, set) => {
  for (const [i, { name, shape }] of modules.entries()) {
    const scores = new Float32Array(shape[0]);
    for (let row = 0; row < scores.length; row++) scores[row] = -Math.log(uniform()) * (1 + i % 7);
    postMessage({ type: 'scores', set, modules: [{ name, scores }], isLast: i === modules.length - 1 }, '*');
  }
};
globalThis.frames = new Map();
const request = globalThis.requestAnimationFrame.bind(globalThis);
globalThis.requestAnimationFrame = callback => request(time => {
  const begun = performance.now();
  callback(time);
  frames.set(time, (frames.get(time) ?? 0) + performance.now() - begun);
});`;

async function measured(page: Page, name: string, gesture: () => Promise<void>): Promise<Gesture> {
  await page.evaluate('frames.clear()');
  await gesture();
  await page.waitForTimeout(100);
  const times = (await page.evaluate<number[]>('[...frames.values()]')).sort((a, b) => a - b);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? Number.NaN;
  return {
    name,
    frames: times.length,
    medianMs: at(0.5),
    p95Ms: at(0.95),
    worstMs: at(1),
    late: times.filter(time => time > FRAME_MS).length,
  };
}

type Target = ReturnType<Page['locator']>;

async function boxOf(target: Target): Promise<{ x: number; y: number; width: number; height: number }> {
  const box = await target.boundingBox();
  if (box === null) throw new Error('the measured element is not visible');
  return box;
}

async function move(page: Page, target: Target, margin: number): Promise<void> {
  const { x, y, width, height } = await boxOf(target);
  for (let i = 0; i < MOVES; i++) await page.mouse.move(x + margin + (width * i) / MOVES, y + height * (0.1 + (0.8 * i) / MOVES));
}

/** Turns the wheel in one direction and back; with the key, this zooms in and out. */
async function wheel(page: Page, target: Target, withKey: boolean): Promise<void> {
  const { x, y, width, height } = await boxOf(target);
  await page.mouse.move(x + width / 2, y + height / 2);
  if (withKey) await page.keyboard.down('Control');
  for (let i = 0; i < MOVES; i++) await page.mouse.wheel(0, i < MOVES * 0.6 ? -30 : 20);
  if (withKey) await page.keyboard.up('Control');
}

async function drag(page: Page, target: Target, along: 'x' | 'y'): Promise<void> {
  const { x, y, width, height } = await boxOf(target);
  const at = (share: number): [number, number] =>
    along === 'x' ? [x + width * share, y + height / 2] : [x + width / 2, y + height * share];
  await page.mouse.move(...at(0.9));
  await page.mouse.down();
  for (let i = 0; i < MOVES; i++) await page.mouse.move(...at(0.9 - (0.8 * i) / MOVES));
  await page.mouse.up();
}

async function slide(page: Page): Promise<void> {
  const slider = page.getByRole('slider').first();
  await slider.focus();
  for (let i = 0; i < MOVES; i++) await page.keyboard.press(i % 3 === 2 ? 'ArrowLeft' : 'ArrowRight');
}

export function pagesReport(gestures: readonly Gesture[]): string {
  // Gestures that only move a tooltip draw no frame.
  const ms = (value: number): string => (Number.isNaN(value) ? '–' : value.toFixed(1));
  return [
    '| gesture | frames | median ms | 95% ms | worst ms | over 16.7 ms |',
    '| --- | ---: | ---: | ---: | ---: | ---: |',
    ...gestures.map(
      ({ name, frames, medianMs, p95Ms, worstMs, late }) =>
        `| ${name} | ${frames} | ${ms(medianMs)} | ${ms(p95Ms)} | ${ms(worstMs)} | ${late} |`,
    ),
  ].join('\n');
}
