/** The choices of the budget, its slider, and the text that explains it. Pure. */
import { compact } from '../../../trainer/protocol/text/format.ts';
import { oneOf, type Units } from '../picture.ts';
import type { BudgetChoice } from '../view-state.ts';
import type { Option, Range } from './options.ts';

export const modesOf = (units: Units): readonly Option<BudgetChoice['mode']>[] => [
  { value: 'per_layer', label: 'per layer', title: `Each layer trains its own highest ${units}` },
  {
    value: 'global',
    label: 'across layers',
    title: `The ${units} of all layers compete for as many parameters; each layer keeps its best ${oneOf(units)}`,
  },
  {
    value: 'proportional',
    label: 'by score',
    title: 'As many parameters, shared among the layers in proportion to the sum of their scores',
  },
];

export const kindsOf = (hasTrained: boolean, units: Units): readonly Option<BudgetChoice['kind']>[] => [
  { value: 'r', label: units, title: `The same number of ${units} for each layer` },
  { value: 'ratio', label: 'share', title: `The same share of ${units} for each layer` },
  {
    value: 'trained',
    label: 'as trained',
    title: hasTrained ? `The ${units} that the run trained` : `Only runs have trained ${units}`,
    isDisabled: !hasTrained,
  },
];

/** @param fewest number of rows of the smallest module, which bounds the rows per layer */
export function sliderOf(
  { kind, r, ratio }: BudgetChoice,
  fewest: number,
): { readonly value: number; readonly range: Range; readonly text: string } {
  if (kind === 'ratio')
    return {
      value: ratio,
      range: { least: 0.001, most: 1, isWhole: false },
      text: `${compact(Number((100 * ratio).toPrecision(3)))}%`,
    };
  return { value: r, range: { least: 1, most: Number.isFinite(fewest) ? fewest : 1, isWhole: true }, text: `${r}` };
}

/** Explains how a budget is spent across layers; other budgets need no explanation. */
export function budgetNote({ kind, r, ratio, mode, least }: BudgetChoice, units: Units): string {
  if (kind === 'trained' || mode === 'per_layer') return '';
  const each = kind === 'ratio' ? `${compact(Number((100 * ratio).toPrecision(3)))}% of each layer` : `${r} ${units} of each layer`;
  const one = oneOf(units);
  const kept = least === 1 ? `its best ${one}` : `its ${least} best ${units}`;
  if (mode === 'proportional')
    return `As many parameters as ${each}, shared among the layers in proportion to the sum of their scores. Every layer keeps ${kept}.`;
  return `As many parameters as ${each}, spent on the highest ${units} of all layers. A ${one} is ranked by its score divided by the mean of its layer, and every layer keeps ${kept}.`;
}
