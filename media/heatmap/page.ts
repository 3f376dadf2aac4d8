/** The heatmap page: its state, its views, its messages to the host, and its announcements. */
import type { HeatmapFromPage, HeatmapToPage } from '../../trainer/protocol/view/heatmap.ts';
import { Announcer } from '../shared/announcer.ts';
import type { Editor } from '../shared/editor.ts';
import { element } from '../shared/element.ts';
import { createPage } from '../shared/page.ts';
import { onThemeChange } from '../shared/series/chart-colors.ts';
import { readTheme } from '../shared/theme.ts';
import { cellSentence } from './cell/cell-facts.ts';
import { createOrderQueue } from './cell/order-queue.ts';
import { createEffects } from './page-effects.ts';
import { type PageEvent, type PageState, startPage, updatePage } from './page-state.ts';
import { createPageViews } from './page-views.ts';
import { makePicture, type Picture } from './picture.ts';
import { cellFile, type MapFormat, mapFile } from './saved-files.ts';
import { createScoreStore } from './score-store.ts';
import { type HeatmapViewState, restoreState } from './view-state.ts';

export interface HeatmapPage {
  receive(message: HeatmapToPage): void;
}

export function mountHeatmap(root: HTMLElement, editor: Editor<HeatmapFromPage, HeatmapViewState>): HeatmapPage {
  const store = createScoreStore();
  const announcer = new Announcer();
  let picture: Picture | undefined;
  let theme = readTheme();

  const effects = createEffects({ editor, store, announcer, picture: () => picture });
  const page = createPage<PageState, PageEvent>({
    start: startPage(restoreState(editor.kept())),
    update: updatePage,
    draw: state => {
      picture = makePicture(state, store);
      views.draw(state, picture, theme);
      if (picture.needsOrders) orders.start([picture.a, picture.b]);
    },
    react: (event, before, after) => {
      effects(event, before, after);
      if (after.choices !== before.choices) views.hideTooltip();
      // The pressed button disappears with its source, so move the focus.
      if (event.type === 'remove') views.focusControls();
    },
  });
  const orders = createOrderQueue(page.redraw);
  const choose = (change: Partial<HeatmapViewState>): void => page.receive({ type: 'choose', change });
  const views = createPageViews(root, {
    chosen: () => page.state.choices,
    choose,
    add: source => page.receive({ type: 'add', source }),
    remove: path => page.receive({ type: 'remove', path }),
    openRun: () => page.state.choices.a && editor.post({ type: 'open-run', path: page.state.choices.a.path }),
    save: format => void save(format),
    saveCell: () => picture?.opened !== undefined && editor.post({ type: 'save', ...cellFile(picture, picture.opened) }),
    order: order => choose({ order }),
    open,
    close,
  });
  root.classList.add('heatmap');
  root.append(element('h1', { class: 'visually-hidden' }, 'Importance by layer'), ...views.elements, announcer.element);
  root.addEventListener('keydown', event => {
    if (event.key !== 'Escape' || page.state.choices.cell === undefined) return;
    event.preventDefault();
    close();
  });
  onThemeChange(() => {
    theme = readTheme();
    page.redraw();
  });

  function open(module: number): void {
    const name = picture?.names[module];
    if (name === undefined || !picture) return;
    choose({ cell: name });
    announcer.say(`Opened ${cellSentence(picture, module)}`);
    requestAnimationFrame(views.focusCell);
  }

  function close(): void {
    const { cell } = page.state.choices;
    if (cell === undefined) return;
    const module = picture?.names.indexOf(cell) ?? -1;
    choose({ cell: undefined });
    requestAnimationFrame(() => views.focusMap(module));
  }

  async function save(format: MapFormat): Promise<void> {
    if (picture) editor.post({ type: 'save', ...(await mapFile(picture, format)) });
  }

  return { receive: page.receive };
}
