/** The rows, columns or elements that a run trains: newly selected, or those of its checkpoint. */
import path from 'node:path';
import type { AdapterDescription } from '../../adapter/adapter.ts';
import { methodCatalog } from '../../catalog/methods.ts';
import { wholeRows } from '../../coupling/coupling.ts';
import type { Base } from '../../job/open-base.ts';
import { isCoupled } from '../../method/spsft/coupled-rows.ts';
import type { SecondChoice } from '../../method/young-rows.ts';
import type { Model } from '../../model/model-spec.ts';
import type { Precision } from '../../model/weight-storage.ts';
import type { TaskSetup } from '../../objective/task-setup.ts';
import { chooseRows } from '../../plan/choices/choose-rows.ts';
import { chooseElementsFor } from '../../plan/choices/choose-run-elements.ts';
import { planTargets } from '../../plan/run-plan.ts';
import { RUN_FILES } from '../../protocol/run/run-files.ts';
import type { Selection } from '../../selection.ts';
import type { PrepareParams } from './prepared.ts';
import { chooseAgain } from './second-choice.ts';

export interface Selected {
  /** Undefined for a method without a selection. */
  readonly selection?: Selection | undefined;
  /** The second choice that it comes from. */
  readonly choice?: SecondChoice | undefined;
}

/** Selects rows, columns or elements for a new run. A resumed run keeps its own, unless a second choice is due. */
export async function select(
  params: PrepareParams,
  { base, setup, precision }: { readonly base: Base; readonly setup: TaskSetup; readonly precision: Precision },
): Promise<Selected> {
  const { recipe, checkpoint, runDir } = params;
  const { chooses } = methodCatalog[recipe.method];
  if (chooses === 'nothing') return {};
  const { settings, modules, units } = planTargets(recipe, setup.model);
  const choosing = { ...params, base, modules, units, setup, precision, outputFile: path.join(runDir, RUN_FILES.scores) };
  if (checkpoint?.state.choiceDue) return chooseAgain(choosing, checkpoint);
  if (checkpoint) {
    const { description } = checkpoint.adapter;
    if (isCoupled(settings)) return { selection: rowsOfCoupled(setup.model, description) };
    const selection = description[chooses === 'rows' && settings.trains === 'columns' ? 'columns' : chooses];
    return { selection, choice: checkpoint.state.choice };
  }
  return { selection: await (chooses === 'rows' ? chooseRows(choosing) : chooseElementsFor(choosing)) };
}

/** The selected rows of coupled modules, which are stored among the elements of their weights. */
const rowsOfCoupled = ({ modules }: Model, { rows, elements }: AdapterDescription): Selection =>
  new Map([
    ...rows,
    ...modules.flatMap(module => {
      const places = elements.get(module.name);
      return places ? [[module.name, wholeRows(module, places)] as const] : [];
    }),
  ]);
