/** Numbers computed from a recipe, shown after the settings that determine them. Pure. */

import { memorySplit } from '../trainer/lint/problems/fact-problems.ts';
import type { RecipeView } from '../trainer/lint/recipe-view.ts';
import { trainableCount } from '../trainer/method/method.ts';
import { TargetError } from '../trainer/method/targets.ts';
import type { RecipeEstimate } from '../trainer/plan/memory/predict.ts';
import { attachFirst } from '../trainer/plan/run-plan.ts';
import type { Position } from '../trainer/protocol/problem.ts';
import { follow } from '../trainer/protocol/recipe/located.ts';
import { byteSize, percent } from '../trainer/protocol/text/format.ts';
import { SelectionError } from '../trainer/selection.ts';
import { methodSettings } from '../trainer/train/recipe-settings.ts';
import { shareText } from './hover.ts';
import { ofFree } from './memory-text.ts';
import { runLength } from './run-length.ts';

/** VS Code cuts longer hints (`editor.inlayHints.maximumLength`). */
export const MAX_LABEL = 43;

export interface Hint {
  readonly at: Position;
  readonly label: string;
  readonly tooltip?: string;
}

export function inlayHints(view: RecipeView): Hint[] {
  const hints: Hint[] = [];
  /** Adds a hint after the first of these settings that the text contains. */
  const add = (keys: readonly string[], label: string | undefined, tooltip?: string): void => {
    const at = keys.map(key => endOf(view, key)).find(end => end !== undefined);
    if (at !== undefined && label !== undefined) hints.push({ at, label, tooltip });
  };
  add(['r', 'ratio', 'method', 'model'], trainedText(view));
  const { estimate, values } = view;
  if (estimate !== undefined) {
    const label = memoryLabel(view, estimate);
    const split = memorySplit(estimate);
    add(
      ['recompute', 'per_device_train_batch_size', 'max_length', 'model'],
      label.short,
      label.short === label.full ? split : `${label.full}: ${split}`,
    );
  }
  const effective = values.per_device_train_batch_size * values.gradient_accumulation_steps;
  if (values.gradient_accumulation_steps > 1) add(['gradient_accumulation_steps'], `${effective} samples per update`);
  const length = runLength(view);
  if (length !== undefined) add(values.max_steps > 0 ? ['max_steps'] : ['num_train_epochs', 'data.train'], length.label, length.tooltip);
  return hints;
}

/** "1.5 GB of 21.3 GB free, recompute: none", and the part of it that the editor shows; the rest is in the tooltip. */
function memoryLabel(view: RecipeView, { runBytes, recompute }: RecipeEstimate): { readonly short: string; readonly full: string } {
  const isElsewhere = view.farDaemon !== undefined && view.card === undefined;
  const needed = byteSize(runBytes);
  const run = `${needed}${ofFree(view)}`;
  const level = view.values.recompute === 'auto' ? `, recompute: ${recompute}` : '';
  const full = `${run}${level}${level !== '' && isElsewhere ? ' if that much is free on the daemon’s machine' : ''}`;
  const chosen = `${run}${level}${level !== '' && isElsewhere ? ' if it fits' : ''}`;
  return { full, short: [full, chosen, run].find(text => text.length <= MAX_LABEL) ?? needed };
}

function endOf({ root }: RecipeView, key: string): Position | undefined {
  if (root === undefined) return undefined;
  const { found, complete } = follow(root, key.split('.'));
  return complete && found.content.kind === 'scalar' && found.content.value !== null ? found.range.end : undefined;
}

/** "1.2M trained, 0.9%"; undefined if the method does not fit the model, which is reported as a problem. */
function trainedText({ model, values }: RecipeView): string | undefined {
  if (model?.kind !== 'ready') return undefined;
  try {
    const trainable = trainableCount(attachFirst(model.model, values.method, methodSettings(values)));
    const all = model.model.parameters.reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 1), 0);
    return trainable === all ? percent(1, 0) : shareText(trainable, trainable / all);
  } catch (error) {
    if (error instanceof TargetError || error instanceof SelectionError) return undefined;
    throw error;
  }
}
