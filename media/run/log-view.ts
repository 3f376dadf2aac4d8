/** The log as it is written: filter by level, search, and follow. */
import type { RunAction } from '../../trainer/protocol/view/run.ts';
import { element, setText } from '../shared/element.ts';
import { filterLog, LOG_LEVELS, type LogLevel } from '../shared/log-lines.ts';
import type { RunModel } from '../shared/run-model.ts';
import { createLogList } from './log-list.ts';
import type { View } from './view.ts';

/** Number of entries on the page; a button shows more. */
const PAGE = 500;
/** Distance in pixels from the end within which the view follows new entries. */
const END_PX = 24;
const LEVELS: Readonly<Record<LogLevel, string>> = {
  debug: 'all',
  info: 'info and above',
  warning: 'warning and above',
  error: 'errors',
};

export function createLogView(act: (action: RunAction) => void): View {
  let model: RunModel | undefined;
  let limit = PAGE;
  let generation = 0;
  const level = element(
    'select',
    { 'aria-label': 'Level', onchange: redraw },
    LOG_LEVELS.map(name => element('option', { value: name }, LEVELS[name])),
  );
  level.value = 'info';
  const search = element('input', { type: 'search', placeholder: 'Search the log', 'aria-label': 'Search the log', oninput: redraw });
  const follow = element('input', { type: 'checkbox', checked: true, onchange: toEnd });
  const count = element('span', { class: 'hint', role: 'status' });
  const earlierClass = 'secondary log-earlier';
  const earlier = element('button', { type: 'button', class: earlierClass, hidden: true, onclick: more }, `Show ${PAGE} Earlier`);
  const list = createLogList();
  const box = element(
    'div',
    { class: 'log-box', role: 'log', 'aria-live': 'off', 'aria-label': 'Log', tabindex: 0, onscroll: scrolled },
    earlier,
    list.element,
  );
  const open = element('button', { type: 'button', class: 'secondary', onclick: () => act('log') }, 'Open log.txt');
  const tools = element('div', { class: 'panel-tools' }, level, search, count, element('label', { class: 'tool' }, follow, 'Follow'), open);

  function redraw(): void {
    limit = PAGE;
    list.reset();
    draw();
  }

  function more(): void {
    limit += PAGE;
    list.reset();
    follow.checked = false;
    const fromEnd = box.scrollHeight - box.scrollTop;
    draw();
    box.scrollTop = box.scrollHeight - fromEnd;
  }

  function scrolled(): void {
    const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < END_PX;
    if (list.element.childElementCount > 0) follow.checked = isAtEnd;
  }

  function toEnd(): void {
    if (follow.checked) box.scrollTop = box.scrollHeight;
  }

  function draw(): void {
    if (!model) return;
    const { log } = model;
    if (log.generation !== generation) list.reset();
    generation = log.generation;
    const found = filterLog(log.entries, LOG_LEVELS.find(name => name === level.value) ?? 'info', search.value);
    earlier.hidden = found.length <= limit;
    setText(count, search.value === '' ? '' : `${found.length} found`);
    list.update(found.slice(-limit));
    toEnd();
  }

  return {
    element: element('div', { class: 'log' }, tools, box),
    update: next => {
      model = next;
      draw();
    },
  };
}
