/** The page of one run: its parts, drawn from the host's patches. */
import type { RunAction, RunFromPage, RunToPage } from '../../trainer/protocol/view/run.ts';
import { Announcer } from '../shared/announcer.ts';
import type { Editor } from '../shared/editor.ts';
import { element, setText } from '../shared/element.ts';
import { createPage } from '../shared/page.ts';
import { createTabs } from '../shared/tabs.ts';
import { createCoverageView } from './coverage-view.ts';
import { type CurvesSettings, createCurves } from './curves-view.ts';
import { createLogView } from './log-view.ts';
import { createMemoryView } from './memory-view.ts';
import { createRecipeView } from './recipe-view.ts';
import { createResultsView } from './results-view.ts';
import { createHeader } from './run-header.ts';
import { RUN_TABS, type RunEvent, type RunState, type RunTab, runTabs, startRun, updateRun } from './run-state.ts';
import { sentenceOf, statusOf } from './run-status.ts';
import { createStages } from './stages-view.ts';
import { createValuesView } from './values-view.ts';
import type { View } from './view.ts';

/** The view settings that survive a reload; the data comes from the host. */
export interface KeptRunPage {
  readonly curves: CurvesSettings;
  readonly tab: string;
}

export interface RunPage {
  receive(message: RunToPage): void;
}

export function mountRun(root: HTMLElement, editor: Editor<RunFromPage, KeptRunPage>): RunPage {
  const kept = editor.kept() ?? {};
  const act = (action: RunAction): void => editor.post({ type: 'action', action });
  const keep = (): void => editor.keep({ curves: curves.settings, tab: page.state.tab });
  const page = createPage<RunState, RunEvent>({
    start: startRun(kept.tab),
    update: updateRun,
    draw,
    react: event => event.type === 'tab' && keep(),
  });
  const header = createHeader(act);
  const stages = createStages();
  const curves = createCurves(kept.curves ?? {}, keep, () => {
    tabs.select('memory');
    page.receive({ type: 'tab', tab: 'memory' });
    tabs.element.scrollIntoView({ block: 'nearest' });
  });
  const views: Readonly<Record<RunTab, View>> = {
    log: createLogView(act),
    results: createResultsView(),
    memory: createMemoryView(),
    coverage: createCoverageView(),
    recipe: createRecipeView(act),
    values: createValuesView((suggestedName, content) => editor.post({ type: 'save', suggestedName, content })),
  };
  const tabs = createTabs(
    'Details',
    runTabs.map(id => ({ id, label: RUN_TABS[id], panel: views[id].element })),
    page.state.tab,
    tab => page.receive({ type: 'tab', tab }),
  );
  const notice = element('p', { class: 'notice', role: 'alert', hidden: true });
  const announcer = new Announcer();
  let announced = '';
  curves.element.hidden = true;
  root.append(header.element, notice, stages.element, curves.element, tabs.element, announcer.element);

  function draw({ model, tab, notice: shown }: RunState): void {
    notice.hidden = shown === undefined;
    notice.className = `notice notice-${shown?.level ?? 'info'}`;
    setText(notice, shown?.message ?? '');
    header.update(model);
    stages.update(model);
    curves.element.hidden = model.history.length === 0;
    curves.update(model);
    views[tab].update(model);
    const { state } = statusOf(model);
    if (state === announced) announcer.mention(sentenceOf(model));
    else announcer.say(sentenceOf(model));
    announced = state;
  }

  return { receive: page.receive };
}
