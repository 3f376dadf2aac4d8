/** Drives a workbench as a person does: keys, clicks, and what is seen. The only place in these tests that knows VS Code's own elements. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Frame, Locator, Page } from 'playwright-core';
import { expect } from 'vitest';
import { until } from '../../support/machine/until.ts';

/** For what an editor does by itself; a training is waited for by its test. */
const PATIENCE_MS = 120_000;
/** Before the palette is opened anew, the first time. */
const PALETTE_MS = 3000;
/** Before the command that opens a list is run anew, the first time: the list may wait for the daemon. */
const LIST_MS = 15_000;
/** Commands that a search for a category finds; the palette has some hundred of all others. */
const MOST_ALIKE = 300;
/** Until a command has had its effect: processes are started and ended. */
const EFFECT_MS = 20_000;
/** Before a text that is not shown is typed anew. */
const TYPED_MS = 5000;
const SIZE = { width: 1600, height: 1000 };

/**
 * Until it succeeds; an editor under load loses keys.
 * @param attempt with the number by which its own patience is to be multiplied: what was too slow once gets twice the time
 * @throws Error naming what did not come
 */
async function retry(what: string, attempt: (factor: number) => Promise<void>, patienceMs = PATIENCE_MS): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (let factor = 1; ; factor *= 2) {
    try {
      return await attempt(factor);
    } catch (cause) {
      if (performance.now() > deadline) throw new Error(`${what} did not come`, { cause });
    }
  }
}

/** A window of the editor. */
export class Workbench {
  readonly page: Page;
  private readonly name: string;

  private constructor(page: Page, name: string) {
    this.page = page;
    this.name = name;
  }

  /** @param name of the pictures that `screenshot` takes */
  static async open(browser: Browser, url: string, name: string): Promise<Workbench> {
    const context = await browser.newContext({ viewport: SIZE, reducedMotion: 'reduce' });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto(url);
    const workbench = new Workbench(page, name);
    await workbench.ready();
    return workbench;
  }

  /** The first start takes its time: the browser compiles the editor. */
  private async ready(): Promise<void> {
    await this.page.locator('.monaco-workbench .part.statusbar').waitFor();
    await this.page.locator('.monaco-workbench .explorer-folders-view .monaco-list-row').first().waitFor();
  }

  /** Reloads the page, as the browser's own reload and `Developer: Reload Window` do. */
  async reload(): Promise<void> {
    await this.page.reload();
    await this.page.locator('.monaco-workbench .part.statusbar').waitFor();
  }

  /** Picks the command of exactly this title, category and all, from the palette; waits for it while extensions start. */
  async runCommand(title: string, patienceMs = PATIENCE_MS): Promise<void> {
    const row = this.quickPickRow(title);
    // A palette that is open does not learn of commands that come later, and a page that comes back takes the focus from it.
    const attempt = async (factor: number): Promise<void> => {
      try {
        await this.page.keyboard.press('F1');
        await this.page.locator('.quick-input-widget input.input').fill(`>${title}`, { timeout: PALETTE_MS * factor });
        await row.waitFor({ timeout: PALETTE_MS * factor });
        await this.accept(row);
      } catch (error) {
        await this.press('Escape');
        throw error;
      }
    };
    await retry(`'${title}' in the palette`, attempt, patienceMs);
  }

  /** Runs a command, and again where nothing comes of it: what takes the focus from the palette takes the key that was meant for it, too. */
  async runCommandUntil(title: string, effect: Locator | (() => boolean | Promise<boolean>)): Promise<void> {
    const holds = typeof effect === 'function' ? effect : async () => (await effect.count()) > 0;
    await retry(`the effect of '${title}'`, async factor => {
      if (await holds()) return;
      // A command that has had its effect meanwhile may not be offered again.
      await this.runCommand(title, LIST_MS * factor).catch(async error => {
        if (!(await holds())) throw error;
      });
      await until(holds, title, EFFECT_MS * factor);
    });
  }

  private quickPickRow(label: string): Locator {
    const exact = new RegExp(`^${label.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`);
    return this.page
      .locator('.quick-input-list .monaco-list-row')
      .filter({ has: this.page.locator('.label-name', { hasText: exact }) })
      .first();
  }

  /** Runs a command that asks which, and chooses; a page that takes the focus in between closes the list, which is then asked for anew. */
  async runCommandOn(title: string, label: string): Promise<void> {
    await retry(`'${label}' for ${title}`, async factor => {
      await this.runCommand(title);
      try {
        await this.pick(label, LIST_MS * factor);
      } catch (error) {
        await this.press('Escape');
        throw error;
      }
    });
  }

  /** Chooses an entry of the open quick pick. */
  async pick(label: string, timeout = PATIENCE_MS): Promise<void> {
    const row = this.quickPickRow(label);
    await row.waitFor({ timeout });
    await this.page.locator('.quick-input-widget input.input').fill(label, { timeout });
    await this.accept(row);
  }

  /** Runs a command that asks which, and takes these. */
  async runCommandOnEach(title: string, labels: readonly string[]): Promise<void> {
    await this.runCommand(title);
    for (const label of labels) await this.quickPickRow(label).click();
    await this.page.locator('.quick-input-widget .quick-input-action a.monaco-button', { hasText: /^OK$/ }).click();
  }

  /** Titles of all commands of a category that the palette has now. */
  async offered(category: string): Promise<ReadonlySet<string>> {
    await retry(`the palette of ${category}`, async factor => {
      try {
        await this.page.keyboard.press('F1');
        await this.page.locator('.quick-input-widget input.input').fill(`>${category}: `, { timeout: PALETTE_MS * factor });
      } catch (error) {
        await this.press('Escape');
        throw error;
      }
    });
    const rows = this.page.locator('.quick-input-list .monaco-list-row');
    const labels = () => rows.locator('.label-name').allTextContents();
    // The list holds the rows that are in sight; the focus, which walks down through it, knows its place among all.
    const focused = this.page.locator('.quick-input-list .monaco-list-row.focused');
    const placeOf = async () => [await focused.getAttribute('aria-posinset'), await focused.getAttribute('aria-setsize')] as const;
    // Titles that are only alike stand at its end.
    const isFiltered = async () => Number((await placeOf())[1]) < MOST_ALIKE && (await labels())[0]?.startsWith(`${category}: `);
    await expect.poll(isFiltered).toBe(true);
    const found = new Set(await labels());
    for (let [place, all] = await placeOf(); place !== all; ) {
      const before = place;
      await this.press('PageDown');
      await expect.poll(async () => (await placeOf())[0]).not.toBe(before);
      [place, all] = await placeOf();
      for (const label of await labels()) found.add(label);
    }
    await this.press('Escape');
    const own = [...found].filter(label => label.startsWith(`${category}: `));
    return new Set(own.map(label => label.slice(category.length + 2)));
  }

  /** Presses a button of a notification, however long that is shown. */
  async pressNotification(text: string | RegExp, button: string): Promise<void> {
    await this.notification(text).getByRole('button', { name: button }).click();
  }

  /** Answers the dialog that stands in front of everything. */
  async dialogButton(name: string): Promise<void> {
    await this.page.locator('.monaco-dialog-box').getByRole('button', { name, exact: true }).click();
  }

  tab(name: string | RegExp): Locator {
    return this.page.locator('.tabs-container .tab', { hasText: name });
  }

  /** By the mouse: a page that takes the focus takes the keys, too. */
  async closeTab(name: string): Promise<void> {
    const tab = this.tab(name);
    await tab.click({ button: 'middle' });
    await tab.waitFor({ state: 'detached' });
  }

  /** Types the answer into the box that asks under this title. */
  async answer(title: string, text: string): Promise<void> {
    await this.page.locator('.quick-input-widget .quick-input-title', { hasText: title }).waitFor();
    const input = this.page.locator('.quick-input-widget input.input');
    await input.fill(text);
    await input.press('Enter');
  }

  /** By the keyboard: the mouse would have to pass through the hover of the entry that it rests on. */
  private async accept(row: Locator): Promise<void> {
    await row.waitFor({ timeout: LIST_MS });
    // The row is gone where the list was closed meanwhile.
    const isFocused = () => row.evaluate(element => element.classList.contains('focused'), undefined, { timeout: LIST_MS });
    for (let i = 0; !(await isFocused()); i++) {
      if (i === 20) throw new Error(`the entry ${await row.textContent()} can't be reached`);
      await this.press('ArrowDown');
    }
    await this.press('Enter');
  }

  /** Names a file or folder in the dialog that saves, once it has made its suggestion: it writes that over what came before. */
  async saveAs(path: string, suggestion: string): Promise<void> {
    const input = this.page.locator('.quick-input-widget input.input');
    await expect.poll(() => input.inputValue()).toMatch(new RegExp(`/${suggestion}$`));
    await input.fill(path);
    await expect.poll(() => input.inputValue()).toBe(path);
    await this.page.locator('.quick-input-widget .quick-input-action a.monaco-button', { hasText: /^(OK|Export|Save)$/ }).click();
  }

  async openFile(name: string): Promise<void> {
    await this.page.locator('.explorer-folders-view .monaco-list-row', { hasText: name }).first().dblclick();
    await this.page.locator('.editor-instance .view-lines').first().waitFor();
    await this.page.locator('.editor-instance .view-lines').first().click();
  }

  /** Makes it the text of the open editor, key by key; one that still starts its extensions loses some, and the text is then typed anew. */
  async write(text: string): Promise<void> {
    const lines = this.page.locator('.editor-instance .view-line');
    await retry('the text that was typed', async factor => {
      await this.page.locator('.editor-instance .view-lines').first().click();
      await this.press('Control+A');
      await this.press('Delete');
      await this.page.keyboard.type(text, { delay: 15 });
      // The editor draws its lines in any order, spaces as those that do not break, and hints behind a line.
      const missing = async () => {
        const shown = (await lines.allTextContents()).map(line => line.replaceAll('\u00a0', ' '));
        return text.split('\n').filter(line => !shown.some(each => each.startsWith(line)));
      };
      await expect.poll(missing, { timeout: TYPED_MS * factor }).toEqual([]);
    });
  }

  async press(keys: string): Promise<void> {
    await this.page.keyboard.press(keys);
  }

  async save(): Promise<void> {
    await this.press('Control+S');
    await this.page.locator('.tab.active.dirty').waitFor({ state: 'detached' });
  }

  squiggles(severity: 'error' | 'warning' | 'info'): Locator {
    return this.page.locator(`.view-overlays .squiggly-${severity}`);
  }

  /** Messages of the problems panel, which it opens. */
  async problems(): Promise<string[]> {
    await this.runCommand('Problems: Focus on Problems View');
    const rows = this.page.locator('.markers-panel .marker-message');
    await rows.first().waitFor();
    return rows.allTextContents();
  }

  /** Goes to the next problem, opens the bulb and takes a fix. */
  async applyQuickFix(title: string | RegExp): Promise<void> {
    await this.accept(await this.showQuickFix(title));
  }

  /** Goes to the next problem and opens its bulb. The fixes come from another process, so the bulb may open empty. @returns the fix */
  async showQuickFix(title: string | RegExp): Promise<Locator> {
    const fix = this.page.locator('.action-widget .monaco-list-row', { hasText: title }).first();
    await retry(`the fix ${title}`, async factor => {
      await this.press('F8');
      await this.press('Control+.');
      await fix.waitFor({ timeout: PALETTE_MS * factor }).catch(async error => {
        await this.press('Escape');
        throw error;
      });
    });
    return fix;
  }

  /** Presses what stands above the first line of a recipe, until it has had its effect: lenses are drawn anew while the recipe is looked at. */
  async pressLens(text: string, effect: Locator): Promise<void> {
    const lens = this.page.locator('.codelens-decoration a', { hasText: text }).first();
    await retry(`what the lens ${text} does`, async factor => {
      // The click that gave the editor the focus may have scrolled it, below the lens.
      await this.press('Control+Home');
      await lens.click({ timeout: LIST_MS * factor });
      await effect.first().waitFor({ timeout: LIST_MS * factor });
    });
  }

  /** Clears what lies over the page. */
  async clearNotifications(): Promise<void> {
    const toasts = this.page.locator('.notifications-toasts .notification-list-item');
    await this.runCommandUntil('Notifications: Clear All Notifications', async () => (await toasts.count()) === 0);
  }

  /** Takes a theme from the editor's list. @param kind the class that a window has in themes of this kind */
  async theme(label: string, kind: string): Promise<void> {
    await retry(`the theme ${label}`, async factor => {
      await this.runCommand('Preferences: Color Theme');
      try {
        // The list begins at the theme in use and holds what is in sight, so the name is typed.
        await this.page
          .locator('.quick-input-list .label-name', { hasText: /^(Dark|Light)/ })
          .first()
          .waitFor({ timeout: LIST_MS * factor });
        await this.page.locator('.quick-input-widget input.input').fill(label);
        await this.accept(this.quickPickRow(label));
      } catch (error) {
        await this.press('Escape');
        throw error;
      }
    });
    await this.page.locator(`.monaco-workbench.${kind}`).first().waitFor();
  }

  /** The first with this text: the last line of a progress may stand next to the error that repeats it. */
  notification(text: string | RegExp): Locator {
    const shown = '.notifications-toasts .notification-list-item, .notifications-center .notification-list-item';
    return this.page.locator(shown, { hasText: text }).first();
  }

  statusBarItem(text: string | RegExp): Locator {
    return this.page.locator('.statusbar-item', { hasText: text });
  }

  /** The frame of the extension's page that has such an element. */
  async webview(selector: string, timeoutMs = PATIENCE_MS): Promise<Frame> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      for (const frame of this.page.frames())
        if (
          (await frame
            .locator(selector)
            .count()
            .catch(() => 0)) > 0 &&
          frame !== this.page.mainFrame()
        )
          return frame;
      if (performance.now() > deadline) throw new Error(`no page with '${selector}' within ${timeoutMs} ms`);
      await this.page.waitForTimeout(100);
    }
  }

  /** Milliseconds that the editor says the extension took, in its own list of running extensions. */
  async activationMs(extension: string): Promise<number> {
    await this.runCommand('Developer: Show Running Extensions');
    const row = this.page.locator('.runtime-extensions-editor .extension', { hasText: extension });
    const text = (await row.locator('.activation-time').textContent()) ?? '';
    await this.press('Control+W');
    const found = /(\d+)\s*ms/.exec(text)?.[1];
    if (found === undefined) throw new Error(`the activation time of ${extension} is not in '${text}'`);
    return Number(found);
  }

  /** Saves a picture in ROWTUNE_SCREENSHOTS, or with the test's temporary files; returns the file. */
  async screenshot(stage: string): Promise<string> {
    mkdirSync(screenshotFolder, { recursive: true });
    const file = join(screenshotFolder, `${this.name}-${stage}.png`);
    await this.page.screenshot({ path: file });
    return file;
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}

const screenshotFolder = process.env.ROWTUNE_SCREENSHOTS ?? join(import.meta.dirname, '..', '..', '..', 'dist', 'screenshots');
