/** The heatmap page: holds the choices and the received data, and redraws with the next frame after either changes. */
import { duration, grouped } from '../../trainer/protocol/format.ts';
import type {
  HeatmapFromPage,
  HeatmapProgress,
  HeatmapSource,
  HeatmapSourceInfo,
  HeatmapToPage,
  ScoreSetRef,
} from '../../trainer/protocol/view/heatmap.ts';
import { Announcer } from '../shared/announcer.ts';
import type { Editor } from '../shared/editor.ts';
import { element, setText } from '../shared/element.ts';
import { toSvg } from '../shared/scene.ts';
import { toPng } from '../shared/scene-png.ts';
import { onThemeChange } from '../shared/series/chart-colors.ts';
import { readTheme } from '../shared/theme.ts';
import { createTooltip } from '../shared/tooltip.ts';
import { cellFacts, cellSentence, overlapText, selectionText, valueText } from './cell/cell-facts.ts';
import { createCellPanel } from './cell/cell-panel.ts';
import { createOrderQueue } from './cell/order-queue.ts';
import { markOf } from './cell/selection-view.ts';
import { createControls } from './controls.ts';
import { cellCsv, fileName, heatmapCsv, heatmapScene } from './export-files.ts';
import { createGridView } from './grid/grid-view.ts';
import { createLegend } from './grid/legend.ts';
import { createTableView } from './grid/table-view.ts';
import { makePicture, type Picture } from './picture.ts';
import { createScoreStore } from './score-store.ts';
import { describeSet, type HeatmapViewState, restoreState, settle } from './view-state.ts';

export interface HeatmapPage {
  receive(message: HeatmapToPage): void;
}

/** The message in place of a grid. */
function emptyText({ sourceA }: Picture): string {
  if (sourceA?.isAwaited) return 'The scores are being computed. The first rows will appear here soon.';
  return sourceA?.problem ?? 'No scores to show.';
}

/** Announces a slider when it is released, not while it moves. */
const SETTLE_MS = 600;

export function mountHeatmap(root: HTMLElement, editor: Editor<HeatmapFromPage, HeatmapViewState>): HeatmapPage {
  const store = createScoreStore();
  const announcer = new Announcer();
  const orders = createOrderQueue(request);
  let state = restoreState(editor.kept());
  let sources: readonly HeatmapSourceInfo[] = [];
  let candidates: readonly HeatmapSource[] = [];
  let colorSetting = '';
  let wanted: readonly ScoreSetRef[] = [];
  let picture: Picture | undefined;
  let theme = readTheme();
  let isWaiting = false;
  let hasCome = false;

  const controls = createControls({
    chosen: () => state,
    onChange: change,
    onAddSource: source => {
      added = source.path;
      editor.post({ type: 'add-source', source });
    },
    onRemoveSource: path => {
      const label = sources.find(each => each.path === path)?.label ?? path;
      announcer.say(`${label} was removed`);
      editor.post({ type: 'remove-source', path });
      // The pressed button disappears with its source.
      controls.focus();
    },
    onOpenRun: () => state.a && editor.post({ type: 'open-run', path: state.a.path }),
    onZoom: factor => (factor === 'fit' ? grid.fit() : grid.zoom(factor)),
    onExport: format => void save(format),
  });
  /** The source to compare with as soon as it arrives. */
  let added: string | undefined;
  const grid = createGridView({
    onHover(module, at) {
      if (module === undefined || !picture) tooltip.hide();
      else tooltip.show(cellFacts(picture, module), at);
    },
    onOpen: open,
  });
  const table = createTableView(open);
  const legend = createLegend();
  const status = element('div', { class: 'status' });
  const message = element('div', { class: 'message' }, 'Reading scores…');
  const tooltip = createTooltip(root);
  const cell = createCellPanel({
    tooltip,
    onClose: close,
    onOrder: order => change({ order }),
    onExport: saveCell,
  });
  root.classList.add('heatmap');
  root.append(
    controls.element,
    element(
      'main',
      {},
      element('div', { class: 'map' }, grid.element, table.element, message, element('footer', {}, legend.element, status)),
      cell.element,
    ),
    announcer.element,
  );

  root.addEventListener('keydown', event => {
    if (event.key !== 'Escape' || state.cell === undefined) return;
    event.preventDefault();
    close();
  });

  function request(): void {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      draw();
    });
  }

  function draw(): void {
    picture = makePicture(state, sources, store, colorSetting);
    const now = picture;
    controls.update(now, sources, candidates, colorSetting);
    const opened = now.state.cell === undefined ? -1 : now.names.indexOf(now.state.cell);
    grid.element.hidden = now.state.isTable || now.modules.length === 0;
    message.hidden = now.modules.length > 0;
    setText(message, hasCome ? emptyText(now) : 'Reading scores…');
    grid.update(
      {
        grid: now.grid,
        names: now.names,
        positions: now.positions,
        map: now.map,
        textOf: module => valueText(now, module),
        sentenceOf: module => cellSentence(now, module),
        cellOf: module => now.a.get(now.names[module] ?? ''),
        opened: opened < 0 ? undefined : opened,
      },
      theme,
    );
    table.update(now);
    legend.update(now.meaning, now.map, now.scale);
    // A table has no colors to explain.
    legend.element.hidden = now.state.isTable;
    cell.update(now, opened < 0 ? undefined : opened, theme);
    if (now.choice.kind === 'budget' && (now.state.b || now.choice.mode === 'global')) orders.start([now.a, now.b]);
  }

  function change(next: Partial<HeatmapViewState>): void {
    tooltip.hide();
    state = settle({ ...state, ...next }, sources);
    editor.keep(state);
    want();
    request();
    if (next.budget) sayLater(() => picture && `${markOf(picture.choice)}: ${selectionText(picture)}`);
    if (next.view ?? next.b) sayLater(() => picture && (overlapText(picture) ?? picture.meaning));
  }

  let sayTimer: ReturnType<typeof setTimeout> | undefined;
  function sayLater(sentence: () => string | undefined): void {
    clearTimeout(sayTimer);
    sayTimer = setTimeout(() => announcer.say(sentence() ?? ''), SETTLE_MS);
  }

  /** Requests the visible sets if they changed. */
  function want(): void {
    const sets = [state.a, state.b].filter(set => set !== undefined);
    const unique = sets.filter((set, i) => sets.findIndex(other => other.path === set.path && other.key === set.key) === i);
    if (JSON.stringify(unique) === JSON.stringify(wanted)) return;
    wanted = unique;
    store.keepOnly(unique);
    editor.post({ type: 'want', sets: unique });
  }

  function open(module: number): void {
    const name = picture?.names[module];
    if (name === undefined || !picture) return;
    change({ cell: name });
    announcer.say(`Opened ${cellSentence(picture, module)}`);
    requestAnimationFrame(() => cell.focus());
  }

  function close(): void {
    if (state.cell === undefined) return;
    const module = picture?.names.indexOf(state.cell) ?? -1;
    change({ cell: undefined });
    requestAnimationFrame(() => (state.isTable ? table.focus(module) : grid.focus()));
  }

  async function save(format: 'png' | 'svg' | 'csv'): Promise<void> {
    if (!picture) return;
    const [a, b] = [describeSet(sources, state.a), state.b && describeSet(sources, state.b)];
    const title = b === undefined ? a : `${a} (A), ${b} (B)`;
    const suggestedName = fileName(title, format);
    if (format === 'csv') return editor.post({ type: 'save', suggestedName, content: heatmapCsv(picture, { a, b }) });
    const scene = heatmapScene(picture, title);
    editor.post({ type: 'save', suggestedName, content: format === 'svg' ? toSvg(scene) : await toPng(scene) });
  }

  function saveCell(): void {
    const module = picture?.names.indexOf(state.cell ?? '') ?? -1;
    if (!picture || module < 0) return;
    editor.post({
      type: 'save',
      suggestedName: fileName(`${describeSet(sources, state.a)}-${picture.names[module]}`, 'csv'),
      content: cellCsv(picture, module),
    });
  }

  function takeSources(next: readonly HeatmapSourceInfo[]): void {
    hasCome = true;
    sources = next;
    const fresh = sources.find(({ path }) => path === added);
    if (fresh) {
      added = undefined;
      // Among several measures, the visible one is easiest to compare.
      const measure = sources.find(({ path }) => path === state.a?.path)?.sets.find(({ key }) => key === state.a?.key)?.measure;
      const set = fresh.sets.find(each => each.measure === measure) ?? fresh.sets[0];
      state = { ...state, b: { path: fresh.path, key: set?.key ?? '' }, view: set ? 'difference' : 'overlap' };
    }
    change({});
  }

  let saidProgress = new Map<string, string>();
  function takeProgress(path: string, progress: HeatmapProgress | undefined, text: string): void {
    const left = progress?.secondsLeft === undefined ? '' : `, ${duration(progress.secondsLeft)} left`;
    const sentence = progress ? `${text}: ${grouped(progress.done)} of ${grouped(progress.total)} ${progress.unit}${left}` : text;
    saidProgress = new Map(saidProgress).set(path, sentence);
    setText(status, [...saidProgress.values()].filter(Boolean).join(' · '));
    announcer.mention(sentence);
  }

  onThemeChange(() => {
    theme = readTheme();
    request();
  });

  return {
    receive(incoming) {
      switch (incoming.type) {
        case 'sources':
          candidates = incoming.candidates;
          colorSetting = incoming.colorMap;
          takeSources(incoming.sources);
          break;
        case 'source': {
          const { source } = incoming;
          const before = sources.find(({ path }) => path === source.path);
          // Before the list of sources arrives, choices can't be checked.
          if (!before) break;
          takeSources(sources.map(each => (each.path === source.path ? source : each)));
          if (before.isPartial && !source.isPartial) announcer.say(`The scores of ${source.label} are complete`);
          break;
        }
        case 'scores':
          store.apply(incoming.set, incoming.modules);
          request();
          break;
        case 'progress':
          takeProgress(incoming.path, incoming.progress, incoming.message);
          break;
        case 'saved':
          setText(status, `Saved ${incoming.path}`);
          announcer.say(`Saved ${incoming.path}`);
      }
    },
  };
}
