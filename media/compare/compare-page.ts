/** The page that compares runs: curves, results and recipes of the runs that the host sends. */

import { counted } from '../../trainer/protocol/format.ts';
import { distinctNames } from '../../trainer/protocol/run-names.ts';
import type { CompareFromPage, CompareToPage } from '../../trainer/protocol/view/compare.ts';
import { Announcer } from '../shared/announcer.ts';
import type { Editor } from '../shared/editor.ts';
import { element, setText } from '../shared/element.ts';
import { RunModel } from '../shared/run-model.ts';
import { type CompareCurvesSettings, type ComparedRun, createCompareCurves } from './compare-curves.ts';
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
  const models = new Map<string, RunModel>();
  /** Color positions in use. */
  const looks = new Map<string, number>();
  const kept = editor.kept() ?? {};
  const hidden = new Set(Array.isArray(kept.hidden) ? kept.hidden : []);
  const save = (suggestedName: string, content: string): void => editor.post({ type: 'save', suggestedName, content });
  const curves = createCompareCurves(kept.curves ?? {}, settings => editor.keep({ curves: settings, hidden: [...hidden] }));
  const results = createResultTable({
    open: runDir => editor.post({ type: 'open', runDir }),
    remove: runDir => editor.post({ type: 'remove', runDir }),
    show: (runDir, isShown) => {
      if (isShown) hidden.delete(runDir);
      else hidden.add(runDir);
      editor.keep({ curves: curves.settings, hidden: [...hidden] });
      draw();
    },
    save,
  });
  const values = createValuesTable(save);
  const recipes = createRecipeTable(save);
  const empty = element('p', { class: 'hint', hidden: true }, 'No runs to compare. Choose some with the command Rowtune: Compare Runs.');
  const notice = element('p', { class: 'notice', role: 'alert', hidden: true });
  const announcer = new Announcer();
  let isDue = false;
  root.append(notice, empty, curves.element, values.element, results.element, recipes.element, announcer.element);

  function setRuns(runDirs: readonly string[]): void {
    for (const runDir of models.keys()) {
      if (runDirs.includes(runDir)) continue;
      models.delete(runDir);
      looks.delete(runDir);
    }
    for (const runDir of runDirs) {
      if (!models.has(runDir)) models.set(runDir, new RunModel());
      if (!looks.has(runDir)) looks.set(runDir, freeLook());
    }
    const names = distinctNames(runDirs);
    for (const [runDir, model] of models) model.givenName = names.get(runDir);
    empty.hidden = runDirs.length > 0;
    announcer.say(`${counted(runDirs.length, 'run')} compared`);
    draw();
  }

  function freeLook(): number {
    const taken = new Set(looks.values());
    for (let look = 0; ; look++) if (!taken.has(look)) return look;
  }

  function draw(): void {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      const runs = [...models].map(
        ([runDir, model]): ComparedRun => ({ runDir, model, look: looks.get(runDir) ?? 0, isShown: !hidden.has(runDir) }),
      );
      curves.update(runs);
      values.update(runs);
      results.update(runs);
      recipes.update(runs);
    });
  }

  return {
    receive: message => {
      switch (message.type) {
        case 'runs':
          setRuns(message.runDirs);
          return;
        case 'patch':
          models.get(message.runDir)?.apply(message.patch);
          draw();
          return;
        case 'notice':
          notice.hidden = false;
          notice.className = `notice notice-${message.level}`;
          setText(notice, message.message);
          return;
      }
    },
  };
}
