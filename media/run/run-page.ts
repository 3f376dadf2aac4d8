/** The page of one run: its parts, and the patches that they are drawn from. */
import type { RunAction, RunFromPage, RunToPage } from '../../trainer/protocol/view/run.ts';
import { Announcer } from '../shared/announcer.ts';
import type { Editor } from '../shared/editor.ts';
import { element, setText } from '../shared/element.ts';
import { RunModel } from '../shared/run-model.ts';
import { createTabs } from '../shared/tabs.ts';
import { createCoverageView } from './coverage-view.ts';
import { type CurvesSettings, createCurves } from './curves-view.ts';
import { createLogView } from './log-view.ts';
import { createMemoryView } from './memory-view.ts';
import { createRecipeView } from './recipe-view.ts';
import { createResultsView } from './results-view.ts';
import { createHeader } from './run-header.ts';
import { sentenceOf, statusOf } from './run-status.ts';
import { createStages } from './stages-view.ts';
import { createValuesView } from './values-view.ts';
import type { View } from './view.ts';

/** The view settings that survive a reload; the host sends the data. */
export interface KeptRunPage {
  readonly curves: CurvesSettings;
  readonly tab: string;
}

export interface RunPage {
  receive(message: RunToPage): void;
}

export function mountRun(root: HTMLElement, editor: Editor<RunFromPage, KeptRunPage>): RunPage {
  const model = new RunModel();
  const kept = editor.kept() ?? {};
  const act = (action: RunAction): void => editor.post({ type: 'action', action });
  let tab = kept.tab ?? 'log';
  let curvesSettings = kept.curves;
  const keep = (): void => {
    if (curvesSettings) editor.keep({ curves: curvesSettings, tab });
  };
  const header = createHeader(act);
  const stages = createStages();
  const curves = createCurves(
    kept.curves ?? {},
    settings => {
      curvesSettings = settings;
      keep();
    },
    () => choose('memory'),
  );
  curvesSettings = curves.settings;
  const views: Readonly<Record<string, View>> = {
    log: createLogView(act),
    results: createResultsView(),
    memory: createMemoryView(),
    coverage: createCoverageView(),
    recipe: createRecipeView(act),
    values: createValuesView((suggestedName, content) => editor.post({ type: 'save', suggestedName, content })),
  };
  const labels: Readonly<Record<string, string>> = {
    log: 'Log',
    results: 'Results',
    memory: 'Memory',
    coverage: 'Coverage',
    recipe: 'Recipe',
    values: 'Values',
  };
  const tabs = createTabs(
    'Details',
    Object.entries(views).map(([id, view]) => ({ id, label: labels[id] ?? id, panel: view.element })),
    tab,
    selected,
  );
  const notice = element('p', { class: 'notice', role: 'alert', hidden: true });
  const announcer = new Announcer();
  let state = '';
  let isDue = false;

  function selected(id: string): void {
    tab = id;
    keep();
    views[id]?.update(model);
  }

  function choose(id: string): void {
    tabs.select(id);
    selected(id);
    tabs.element.scrollIntoView({ block: 'nearest' });
  }

  curves.element.hidden = true;
  root.append(header.element, notice, stages.element, curves.element, tabs.element, announcer.element);

  /** Once per frame, however many patches arrive. */
  function draw(): void {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      header.update(model);
      stages.update(model);
      curves.element.hidden = model.history.length === 0;
      curves.update(model);
      views[tabs.selected]?.update(model);
      const status = statusOf(model);
      const sentence = sentenceOf(model);
      if (status.state !== state) announcer.say(sentence);
      else announcer.mention(sentence);
      state = status.state;
    });
  }

  return {
    receive: message => {
      if (message.type === 'notice') {
        notice.hidden = message.message === '';
        notice.className = `notice notice-${message.level}`;
        setText(notice, message.message);
        return;
      }
      model.apply(message);
      draw();
    },
  };
}
