/** Announcements for screen readers: events at once, changing numbers at intervals. */
import { element } from './element.ts';

/** Minimum interval between announcements of numbers, so that screen readers can read other things. */
const QUIET_MS = 30_000;

export class Announcer {
  readonly element = element('div', { class: 'visually-hidden', role: 'status', 'aria-live': 'polite' });
  private saidMs = Number.NEGATIVE_INFINITY;

  /** Announces an event. */
  say(text: string): void {
    if (this.element.textContent === text) return;
    this.element.textContent = text;
    this.saidMs = performance.now();
  }

  /** Announces the current numbers. */
  mention(text: string): void {
    if (performance.now() - this.saidMs >= QUIET_MS) this.say(text);
  }
}
