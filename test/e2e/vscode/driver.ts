/** Drives a workbench as a user does: keys, clicks, and visible text. Only this file knows VS Code's own elements. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Frame, Locator, Page } from 'playwright-core';
import { expect } from 'vitest';
import { until } from '../../support/machine/until.ts';
import { PATIENCE_MS, retry } from './retry.ts';

/** Delay before the palette is reopened for the first time. */
const PALETTE_MS = 3000;
/** Delay before a command that opens a list is run again for the first time; the list may wait for the daemon. */
const LIST_MS = 15_000;
/** Maximum number of commands that a search for a category finds; the palette has some hundred others. */
const MAX_ALIKE = 300;
/** Time limit for a command's effect, because processes are started and ended. */
const EFFECT_MS = 20_000;
/** Delay before a text that is not displayed is typed again. */
const TYPED_MS = 5000;
const SIZE = { width: 1600, height: 1000 };

/** A window of the editor. */
export class Workbench {
  readonly page: Page;
  private readonly name: string;

  private constructor(page: Page, name: string) {
    this.page = page;
    this.name = name;
  }

  /** @param name prefix of the pictures that `screenshot` takes */
  static async open(browser: Browser, url: string, name: string): Promise<Workbench> {
    const context = await browser.newContext({ viewport: SIZE, reducedMotion: 'reduce' });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto(url);
    const workbench = new Workbench(page, name);
    await workbench.ready();
    return workbench;
  }

  /** Waits for the workbench; the first start is slow, because the browser compiles the editor. */
  private async ready(): Promise<void> {
    await this.page.locator('.monaco-workbench .part.statusbar').waitFor();
    await this.page.locator('.monaco-workbench .explorer-folders-view .monaco-list-row').first().waitFor();
  }

  /** Reloads the page, like the browser's own reload and `Developer: Reload Window`. */
  async reload(): Promise<void> {
    await this.page.reload();
    await this.page.locator('.monaco-workbench .part.statusbar').waitFor();
  }

  /** Runs the command with exactly this title, including its category, from the palette; waits for it while extensions start. */
  async runCommand(title: string, patienceMs = PATIENCE_MS): Promise<void> {
    const row = this.quickPickRow(title);
    // An open palette does not show commands registered later, and a page that is restored takes the focus from it.
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

  /** Runs a command until it has its effect; when something takes the focus from the palette, the key press is lost, too. */
  async runCommandUntil(title: string, effect: Locator | (() => boolean | Promise<boolean>)): Promise<void> {
    const holds = typeof effect === 'function' ? effect : async () => (await effect.count()) > 0;
    await retry(`the effect of '${title}'`, async factor => {
      if (await holds()) return;
      // A command that already had its effect may no longer be offered.
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

  /**
   * Runs a command that opens a list, and chooses from it. A page that takes the focus in between closes the list, so the command runs
   * again.
   */
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

  /** Runs a command that opens a list, and chooses these entries. */
  async runCommandOnEach(title: string, labels: readonly string[]): Promise<void> {
    await this.runCommand(title);
    for (const label of labels) await this.quickPickRow(label).click();
    await this.page.locator('.quick-input-widget .quick-input-action a.monaco-button', { hasText: /^OK$/ }).click();
  }

  /** Returns the titles of all commands of a category that the palette offers. */
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
    // The list contains only visible rows. The focus, which moves down through it, knows its position among all of them.
    const focused = this.page.locator('.quick-input-list .monaco-list-row.focused');
    const placeOf = async () => [await focused.getAttribute('aria-posinset'), await focused.getAttribute('aria-setsize')] as const;
    // Similar titles come at the end of the list.
    const isFiltered = async () => Number((await placeOf())[1]) < MAX_ALIKE && (await labels())[0]?.startsWith(`${category}: `);
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

  /** Presses a button of a notification, however long the notification is displayed. */
  async pressNotification(text: string | RegExp, button: string): Promise<void> {
    await this.notification(text).getByRole('button', { name: button }).click();
  }

  /** Answers a modal dialog. */
  async dialogButton(name: string): Promise<void> {
    await this.page.locator('.monaco-dialog-box').getByRole('button', { name, exact: true }).click();
  }

  tab(name: string | RegExp): Locator {
    return this.page.locator('.tabs-container .tab', { hasText: name });
  }

  /** Closes a tab with the mouse, because a page that takes the focus takes the keys, too. */
  async closeTab(name: string): Promise<void> {
    const tab = this.tab(name);
    await tab.click({ button: 'middle' });
    await tab.waitFor({ state: 'detached' });
  }

  /** Types an answer into the input box with this title. */
  async answer(title: string, text: string): Promise<void> {
    await this.page.locator('.quick-input-widget .quick-input-title', { hasText: title }).waitFor();
    const input = this.page.locator('.quick-input-widget input.input');
    await input.fill(text);
    await input.press('Enter');
  }

  /** Accepts an entry with the keyboard; the mouse would have to pass through the hover of the entry below it. */
  private async accept(row: Locator): Promise<void> {
    await row.waitFor({ timeout: LIST_MS });
    // The row is gone if the list was closed in the meantime.
    const isFocused = () => row.evaluate(element => element.classList.contains('focused'), undefined, { timeout: LIST_MS });
    for (let i = 0; !(await isFocused()); i++) {
      if (i === 20) throw new Error(`the entry ${await row.textContent()} can't be reached`);
      await this.press('ArrowDown');
    }
    await this.press('Enter');
  }

  /**
   * Enters a path in the save dialog, but only after the dialog has written its suggestion, which replaces earlier input. The dialog ignores
   * the button while it reads a folder.
   */
  async saveAs(path: string, suggestion: string): Promise<void> {
    const input = this.page.locator('.quick-input-widget input.input');
    await expect.poll(() => input.inputValue()).toMatch(new RegExp(`/${suggestion}$`));
    const accept = this.page.locator('.quick-input-widget .quick-input-action a.monaco-button', { hasText: /^(OK|Export|Save)$/ });
    await retry('the end of the save dialog', async factor => {
      // A slow dialog may have closed since the last attempt.
      if (await input.isHidden()) return;
      await input.fill(path, { timeout: TYPED_MS });
      await expect.poll(() => input.inputValue(), { timeout: TYPED_MS }).toBe(path);
      await accept.click({ timeout: TYPED_MS });
      await input.waitFor({ state: 'hidden', timeout: TYPED_MS * factor });
    });
  }

  /** Opens a file of the explorer. Its rows move while files are written, so a double click may open a neighbor; the file is then opened again. */
  async openFile(name: string): Promise<void> {
    const row = this.page.locator('.explorer-folders-view .monaco-list-row', { hasText: name }).first();
    await retry(`the file ${name}`, async factor => {
      await row.dblclick({ timeout: LIST_MS * factor });
      await this.page.locator('.tabs-container .tab.active', { hasText: name }).waitFor({ timeout: TYPED_MS * factor });
    });
    await this.page.locator('.editor-instance .view-lines').first().waitFor();
    await this.page.locator('.editor-instance .view-lines').first().click();
  }

  /** Types the text into the open editor key by key. While extensions start, keys may be lost; the text is then typed again. */
  async write(text: string): Promise<void> {
    const lines = this.page.locator('.editor-instance .view-line');
    await retry('the text that was typed', async factor => {
      await this.page.locator('.editor-instance .view-lines').first().click();
      await this.press('Control+A');
      await this.press('Delete');
      await this.page.keyboard.type(text, { delay: 15 });
      // The editor renders lines in any order, with non-breaking spaces, and with hints at their ends.
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

  /** Records the texts that empty views show from now on. @returns a function that reads them */
  async recordWelcomes(): Promise<() => Promise<readonly string[]>> {
    const record = `document.querySelectorAll('.welcome-view-content').forEach(each => each.offsetParent && welcomes.add(each.textContent))`;
    const watch = `new MutationObserver(() => { ${record} }).observe(document.body, { subtree: true, childList: true, attributes: true })`;
    await this.page.evaluate(`welcomes = new Set(); ${watch}`);
    return () => this.page.evaluate('[...welcomes]');
  }

  squiggles(severity: 'error' | 'warning' | 'info'): Locator {
    return this.page.locator(`.view-overlays .squiggly-${severity}`);
  }

  /** Opens the problems panel and returns its messages. */
  async problems(): Promise<string[]> {
    await this.runCommand('Problems: Focus on Problems View');
    const rows = this.page.locator('.markers-panel .marker-message');
    await rows.first().waitFor();
    return rows.allTextContents();
  }

  /** Goes to the next problem, opens its lightbulb and applies a fix. */
  async applyQuickFix(title: string | RegExp): Promise<void> {
    await this.accept(await this.showQuickFix(title));
  }

  /** Goes to the next problem and opens its lightbulb. Fixes come from another process, so the menu may open empty. @returns the fix */
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

  /** Presses a lens above the first line of a recipe until it has its effect, because lenses are redrawn while the recipe is checked. */
  async pressLens(text: string, effect: Locator): Promise<void> {
    const lens = this.page.locator('.codelens-decoration a', { hasText: text }).first();
    await retry(`what the lens ${text} does`, async factor => {
      // The click that focused the editor may have scrolled it so that the lens is out of view.
      await this.press('Control+Home');
      await lens.click({ timeout: LIST_MS * factor });
      await effect.first().waitFor({ timeout: LIST_MS * factor });
    });
  }

  /** Presses what disappears once it has its effect, because a view that is drawn again loses clicks. */
  async pressUntilGone(item: Locator): Promise<void> {
    await retry('the effect of a button', async factor => {
      if ((await item.count()) > 0) await item.first().click({ timeout: LIST_MS * factor });
      await item.first().waitFor({ state: 'detached', timeout: LIST_MS * factor });
    });
  }

  /** Closes the notifications that cover the page. */
  async clearNotifications(): Promise<void> {
    const toasts = this.page.locator('.notifications-toasts .notification-list-item');
    await this.runCommandUntil('Notifications: Clear All Notifications', async () => (await toasts.count()) === 0);
  }

  /** Chooses a theme from the editor's list. @param kind the class of a window with themes of this kind */
  async theme(label: string, kind: string): Promise<void> {
    await retry(`the theme ${label}`, async factor => {
      await this.runCommand('Preferences: Color Theme');
      try {
        // The list starts at the current theme and contains only visible entries, so type the name.
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

  /** Returns the first notification with this text; the last line of a progress may repeat in an error. */
  notification(text: string | RegExp): Locator {
    const shown = '.notifications-toasts .notification-list-item, .notifications-center .notification-list-item';
    return this.page.locator(shown, { hasText: text }).first();
  }

  statusBarItem(text: string | RegExp): Locator {
    return this.page.locator('.statusbar-item', { hasText: text });
  }

  /** Returns the frame of the extension's page that contains such an element. */
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

  /** Returns the extension's activation time in ms, from the editor's list of running extensions. */
  async activationMs(extension: string): Promise<number> {
    await this.runCommand('Developer: Show Running Extensions');
    const row = this.page.locator('.runtime-extensions-editor .extension', { hasText: extension });
    const text = (await row.locator('.activation-time').textContent()) ?? '';
    await this.press('Control+W');
    const found = /(\d+)\s*ms/.exec(text)?.[1];
    if (found === undefined) throw new Error(`the activation time of ${extension} is not in '${text}'`);
    return Number(found);
  }

  /** Saves a picture in ROWTUNE_SCREENSHOTS, or with the test's temporary files. Returns the file. */
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
