/** The log as it is written: filter by level, search, follow. */
import type { RunAction } from '../../trainer/protocol/view/run.ts';
import { element, fill, setText } from '../shared/element.ts';
import { filterLog, LOG_LEVELS, type LogEntry, type LogLevel } from '../shared/log-lines.ts';
import type { RunModel } from '../shared/run-model.ts';
import type { View } from './view.ts';

/** Entries on the page; a button shows more. */
const PAGE = 500;
/** The distance from the end that counts as the end. */
const END_PX = 24;

export function createLogView(act: (action: RunAction) => void): View {
  let model: RunModel | undefined;
  let limit = PAGE;
  /** The last drawn entry; -1 if all must be redrawn. */
  let drawn = -1;
  let drawnText = '';
  let generation = 0;
  const level = element(
    'select',
    { 'aria-label': 'Level', onchange: redraw },
    LOG_LEVELS.map(name =>
      element('option', { value: name }, name === 'debug' ? 'all' : name === 'error' ? 'errors' : `${name} and above`),
    ),
  );
  level.value = 'info';
  const search = element('input', { type: 'search', placeholder: 'Search the log', 'aria-label': 'Search the log', oninput: redraw });
  const follow = element('input', { type: 'checkbox', checked: true, onchange: toEnd });
  const count = element('span', { class: 'hint', role: 'status' });
  const earlier = element(
    'button',
    { type: 'button', class: 'secondary log-earlier', hidden: true, onclick: more },
    `Show ${PAGE} Earlier`,
  );
  const list = element('ol', { class: 'log-list' });
  const box = element(
    'div',
    { class: 'log-box', role: 'log', 'aria-live': 'off', 'aria-label': 'Log', tabindex: 0, onscroll: scrolled },
    earlier,
    list,
  );

  function redraw(): void {
    limit = PAGE;
    drawn = -1;
    draw();
  }

  function more(): void {
    limit += PAGE;
    drawn = -1;
    follow.checked = false;
    const fromEnd = box.scrollHeight - box.scrollTop;
    draw();
    box.scrollTop = box.scrollHeight - fromEnd;
  }

  function scrolled(): void {
    const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < END_PX;
    if (list.childElementCount > 0) follow.checked = isAtEnd;
  }

  function toEnd(): void {
    if (follow.checked) box.scrollTop = box.scrollHeight;
  }

  function draw(): void {
    if (!model) return;
    const { log } = model;
    if (log.generation !== generation) drawn = -1;
    generation = log.generation;
    const found = filterLog(log.entries, level.value as LogLevel, search.value);
    const shown = found.slice(-limit);
    earlier.hidden = shown.length === found.length;
    setText(count, search.value === '' ? '' : `${found.length} found`);
    const last = shown.at(-1);
    if (drawn < 0) fill(list, shown.map(item));
    else {
      // The last entry may have grown by a line.
      const fresh = shown.filter(({ id }) => id > drawn);
      const grown = shown.find(({ id }) => id === drawn);
      if (grown && grown.text !== drawnText) list.lastElementChild?.replaceWith(item(grown));
      list.append(...fresh.map(item));
      while (list.childElementCount > shown.length) list.firstElementChild?.remove();
    }
    drawn = last?.id ?? -1;
    drawnText = last?.text ?? '';
    toEnd();
  }

  return {
    element: element(
      'div',
      { class: 'log' },
      element(
        'div',
        { class: 'panel-tools' },
        level,
        search,
        count,
        element('label', { class: 'tool' }, follow, 'Follow'),
        element('button', { type: 'button', class: 'secondary', onclick: () => act('log') }, 'Open log.txt'),
      ),
      box,
    ),
    update: next => {
      model = next;
      draw();
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
