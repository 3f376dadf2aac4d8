/** Tells screen readers where a page stands: at once when something happens, and now and then while numbers move. */
import { element } from './element.ts';

/** Someone who listens to the page while it trains wants to hear other things too. */
const QUIET_MS = 30_000;

export class Announcer {
  readonly element = element('div', { class: 'visually-hidden', role: 'status', 'aria-live': 'polite' });
  private saidMs = Number.NEGATIVE_INFINITY;

  /** Something happened. */
  say(text: string): void {
    if (this.element.textContent === text) return;
    this.element.textContent = text;
    this.saidMs = performance.now();
  }

  /** Where numbers stand. */
  mention(text: string): void {
    if (performance.now() - this.saidMs >= QUIET_MS) this.say(text);
  }
}
