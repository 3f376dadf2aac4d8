/** The data page: samples as the model will see them, facts about all samples, and the columns that they are read from. */
import {
  DATA_PARTS,
  type DataFromPage,
  type DataPart,
  type DataToPage,
  PAGE_SAMPLES,
  TOKEN_USES,
} from '../../trainer/protocol/view/data.ts';
import { Announcer } from '../shared/announcer.ts';
import type { Editor } from '../shared/editor.ts';
import { element, fill, setText } from '../shared/element.ts';
import { createPage } from '../shared/page.ts';
import { createTurnButtons } from '../shared/table/turn-buttons.ts';
import { createTabs } from '../shared/tabs.ts';
import { createColumnsView } from './columns-view.ts';
import { type DataState, rangeText, sentenceOf, startData, updateData } from './data-state.ts';
import { type OpenPlace, sampleElement, USES } from './sample-view.ts';
import { createStatisticsView } from './statistics-view.ts';

/** The page's own state that survives a reload. */
export interface KeptDataPage {
  readonly tab: string;
}

export function mountData(root: HTMLElement, editor: Editor<DataFromPage, KeptDataPage>): { receive(message: DataToPage): void } {
  const announcer = new Announcer();
  const open: OpenPlace = ({ file, line }) => editor.post({ type: 'open', file, line });
  const show = (part: DataPart, from: number): void => editor.post({ type: 'show', part, from });
  const title = element('h1', {});
  const subtitle = element('p', { class: 'hint' });
  const refresh = element('button', { class: 'secondary', type: 'button', onclick: () => editor.post({ type: 'refresh' }) }, 'Refresh');
  const samples = createSamplesView(show, open);
  const statistics = createStatisticsView(open);
  const columns = createColumnsView(chosen => editor.post({ type: 'map', columns: chosen }));
  const tabs = createTabs(
    'Data',
    [
      { id: 'samples', label: 'Samples', panel: samples.element },
      { id: 'statistics', label: 'All samples', panel: statistics.element },
      { id: 'columns', label: 'Columns', panel: columns.element },
    ],
    editor.kept()?.tab ?? 'samples',
    tab => editor.keep({ tab }),
  );
  const problem = element('div', { class: 'notice notice-error', role: 'alert' });
  const page = createPage<DataState, DataToPage>({
    start: startData,
    update: updateData,
    draw: state => {
      setText(title, state.label === '' ? 'Data' : `Data of ${state.label}`);
      setText(subtitle, state.page?.format === undefined ? '' : `Format ${state.page.format}`);
      problem.hidden = state.problem === undefined;
      setText(problem, state.problem ?? '');
      for (const view of [samples, statistics, columns]) view.update(state);
    },
    react: (message, _, after) => {
      const sentence = sentenceOf(message, after);
      if (sentence !== undefined) announcer.say(sentence);
    },
  });
  problem.hidden = true;
  fill(
    root,
    element('header', { class: 'data-header' }, element('div', {}, title, subtitle), refresh),
    problem,
    tabs.element,
    announcer.element,
  );
  return { receive: page.receive };
}

const PARTS: Readonly<Record<DataPart, string>> = { train: 'Training data', eval: 'Evaluation data' };

/** A page of samples, with buttons for the previous and the next page. */
function createSamplesView(show: (part: DataPart, from: number) => void, open: OpenPlace) {
  const part = element(
    'select',
    { 'aria-label': 'Part of the data', onchange: () => show(part.value === 'eval' ? 'eval' : 'train', 0) },
    DATA_PARTS.map(name => element('option', { value: name }, PARTS[name])),
  );
  let [current, from]: [DataPart, number] = ['train', 0];
  const buttons = createTurnButtons(['Earlier', 'Later'], by => show(current, Math.max(0, from + by * PAGE_SAMPLES)));
  const range = element('span', { class: 'hint' });
  const legend = element(
    'p',
    { class: 'legend', 'aria-label': 'Legend' },
    TOKEN_USES.map(use => element('span', { class: `run ${use}`, title: USES[use].title }, USES[use].label)),
  );
  const list = element('div', { class: 'samples' });
  let shown: unknown;
  return {
    element: element('div', {}, element('div', { class: 'panel-tools' }, part, buttons.elements, range, legend), list),
    update(state: DataState): void {
      setText(range, rangeText(state));
      list.setAttribute('aria-busy', String(state.isLoading));
      const { page } = state;
      const canTurn = !state.isLoading && page !== undefined;
      buttons.update({ earlier: canTurn && page.from > 0, later: canTurn && page.more });
      part.hidden = (page?.parts.length ?? 0) < 2;
      if (page === shown) return;
      shown = page;
      if (page) [current, from] = [page.part, page.from];
      part.value = current;
      fill(list, page?.samples.map(sample => sampleElement(sample, open)) ?? []);
    },
  };
}
