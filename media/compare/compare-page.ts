/** The page that compares runs: curves, results and recipes of the runs that the host sends. */
import { counted } from '../../trainer/protocol/text/format.ts';
import type { CompareFromPage, CompareToPage } from '../../trainer/protocol/view/compare.ts';
import { Announcer } from '../shared/announcer.ts';
import type { Editor } from '../shared/editor.ts';
import { element, setText } from '../shared/element.ts';
import { createPage } from '../shared/page.ts';
import { type CompareCurvesSettings, createCompareCurves } from './compare-curves.ts';
import { type CompareEvent, type CompareState, startCompare, updateCompare } from './compare-state.ts';
import { createCoordinates } from './coordinates-view.ts';
import { createRecipeTable } from './recipe-table.ts';
import { createResultTable } from './result-table.ts';
import { createValuesTable } from './values-table.ts';

/** The view settings that survive a reload. */
export interface KeptComparePage {
  readonly curves: CompareCurvesSettings;
  readonly hidden: readonly string[];
}

export interface ComparePage {
  receive(message: CompareToPage): void;
}

export function mountCompare(root: HTMLElement, editor: Editor<CompareFromPage, KeptComparePage>): ComparePage {
  const kept = editor.kept() ?? {};
  const announcer = new Announcer();
  const page = createPage<CompareState, CompareEvent>({
    start: startCompare(kept.hidden),
    update: updateCompare,
    draw,
    react: (event, _, after) => {
      if (event.type === 'show') editor.keep({ curves: curves.settings, hidden: after.hidden });
      if (event.type === 'runs') announcer.say(`${counted(after.runs.length, 'run')} compared`);
    },
  });
  const save = (suggestedName: string, content: string): void => editor.post({ type: 'save', suggestedName, content });
  const curves = createCompareCurves(kept.curves ?? {}, settings => editor.keep({ curves: settings, hidden: page.state.hidden }));
  const results = createResultTable({
    open: runDir => editor.post({ type: 'open', runDir }),
    remove: runDir => editor.post({ type: 'remove', runDir }),
    show: (runDir, isShown) => page.receive({ type: 'show', runDir, isShown }),
    save,
  });
  const views = [curves, createValuesTable(save), createCoordinates(), results, createRecipeTable(save)];
  const empty = element('p', { class: 'hint', hidden: true }, 'No runs to compare. Choose some with the command Rowtune: Compare Runs.');
  const notice = element('p', { class: 'notice', role: 'alert', hidden: true });
  const title = element('h1', { class: 'visually-hidden' }, 'Comparison of runs');
  root.append(title, notice, empty, ...views.map(view => view.element), announcer.element);

  function draw({ runs, isReady, notice: shown }: CompareState): void {
    empty.hidden = !isReady || runs.length > 0;
    notice.hidden = shown === undefined;
    notice.className = `notice notice-${shown?.level ?? 'info'}`;
    setText(notice, shown?.message ?? '');
    for (const view of views) view.update(runs);
  }

  return { receive: page.receive };
}
