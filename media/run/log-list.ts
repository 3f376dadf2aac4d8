/** The entries of a log as a list that grows at its end; entries that are already shown are not redrawn. */
import { element, fill } from '../shared/element.ts';
import type { LogEntry } from '../shared/log-lines.ts';

export interface LogList {
  readonly element: HTMLElement;
  /** Shows entries that continue the previous ones. */
  update(entries: readonly LogEntry[]): void;
  /** Redraws everything at the next update. */
  reset(): void;
}

export function createLogList(): LogList {
  const list = element('ol', { class: 'log-list' });
  let last: LogEntry | undefined;
  return {
    element: list,
    update(entries) {
      const before = last;
      if (!before) fill(list, entries.map(item));
      else {
        // The last entry may have gained a line.
        const grown = entries.find(({ id }) => id === before.id);
        if (grown && grown.text !== before.text) list.lastElementChild?.replaceWith(item(grown));
        list.append(...entries.filter(({ id }) => id > before.id).map(item));
        while (list.childElementCount > entries.length) list.firstElementChild?.remove();
      }
      last = entries.at(-1);
    },
    reset: () => {
      last = undefined;
    },
  };
}

const clock = (time: string): string => (time === '' ? '' : new Date(time).toLocaleTimeString());

const item = ({ time, level, text }: LogEntry): HTMLElement =>
  element(
    'li',
    { class: `log-${level}` },
    element('time', { datetime: time, title: time }, clock(time)),
    element('span', { class: 'log-level' }, level),
    element('span', { class: 'log-text' }, text),
  );
