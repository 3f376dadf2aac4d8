/** Describes a cell for the tooltip, for screen readers and for the table. */
import { compact, grouped, percent } from '../../../trainer/protocol/text/format.ts';
import type { TooltipContent } from '../../shared/tooltip-content.ts';
import type { Picture } from '../picture.ts';
import { jaccard, jaccardByChance, markOf } from './selection-view.ts';

export const scoreText = (score: number | undefined): string =>
  score === undefined || Number.isNaN(score) ? '–' : compact(Number(score.toPrecision(4)));

/** Formats every score with three digits, including trailing zeros, so that cells can be compared. */
function threeDigits(value: number): string {
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1000 ? value.toPrecision(3) : compact(Number(value.toPrecision(3)));
}

/** The value that determines the color of a cell, in short form. */
export function valueText({ values, state }: Picture, module: number): string {
  const value = values[module];
  if (value === undefined || Number.isNaN(value)) return '–';
  if (state.view === 'importance' && state.statistic === 'selected') return percent(value);
  if (state.view === 'overlap') return value.toFixed(2);
  const text = threeDigits(value);
  return state.view === 'difference' && value > 0 ? `+${text}` : text.replace(/^-/, '−');
}

export function cellFacts(picture: Picture, module: number): TooltipContent {
  const { names, grid, modules, counts, countsB, a, b, state, overlaps, choice } = picture;
  const name = names[module] ?? '';
  const info = modules[module];
  const rows = info?.shape[0] ?? 0;
  const units = info?.unit ?? 'rows';
  const count = counts[module] ?? 0;
  const [cellA, cellB] = [a.get(name), b.get(name)];
  // Scores by column are in the order of the columns.
  const shape = units === 'columns' ? [...(info?.shape ?? [])].reverse() : (info?.shape ?? []);
  const facts: (readonly [string, string])[] = [['shape', shape.join(' × ')]];
  const tag = state.b ? ' A' : '';
  if (cellA) facts.push([`mean${tag}`, scoreText(cellA.mean)], [`max${tag}`, scoreText(cellA.max)], [`min${tag}`, scoreText(cellA.min)]);
  if (cellB) facts.push(['mean B', scoreText(cellB.mean)], ['max B', scoreText(cellB.max)]);
  if (state.b && state.view === 'difference') facts.push(['difference', valueText(picture, module)]);
  const mark = markOf(choice);
  facts.push([`${mark} ${units}`, `${grouped(count)} of ${grouped(rows)}${rows > 0 ? ` (${percent(count / rows)})` : ''}`]);
  const countB = countsB?.[module];
  if (countB !== undefined && countB !== count) facts.push([`${mark} ${units} B`, grouped(countB)]);
  if (info?.rowParameters !== undefined) facts.push(['parameters', grouped(Math.round(info.rowParameters * count))]);
  const overlap = overlaps[module];
  if (overlap)
    facts.push([
      'Jaccard',
      `${share(jaccard(overlap))} (${grouped(overlap.both)} shared; chance ${share(jaccardByChance(count, countB ?? count, rows))})`,
    ]);
  return { title: grid.labels[module] ?? name, subtitle: name, facts };
}

/** `layer 3 · q: mean 0.12, max 0.5, …` */
export function cellSentence(picture: Picture, module: number): string {
  const { title, facts } = cellFacts(picture, module);
  return `${title}: ${facts.map(([fact, value]) => `${fact} ${value}`).join(', ')}`;
}

/** Formats a share; the overlap of two empty selections is undefined and shown as a dash. */
const share = (value: number, digits = 2): string => (Number.isNaN(value) ? '–' : value.toFixed(digits));

/** The number of rows and parameters that the budget selects. */
export function selectionText({ selection, isPending }: Picture): string {
  const { rows, ofRows, units, parameters, ofParameters, modelParameters } = selection;
  if (isPending) return `Ranking the ${units} of all layers…`;
  if (ofRows === 0) return '';
  const text = `${grouped(rows)} of ${grouped(ofRows)} ${units} (${percent(rows / ofRows)})`;
  const [whole, what] = modelParameters !== undefined ? [modelParameters, 'the model'] : [ofParameters ?? 0, 'these modules'];
  if (parameters === undefined || !(whole > 0)) return text;
  return `${text} · ${grouped(Math.round(parameters))} parameters (${percent(parameters / whole, 2)} of ${what})`;
}

export function overlapText({ overall, overlaps, selection: { units } }: Picture): string | undefined {
  if (!overall) return undefined;
  const known = overlaps.filter(overlap => overlap !== undefined).length;
  const sofar = known < overlaps.length ? `, ${known} of ${overlaps.length} modules so far` : '';
  return `Jaccard index of the selections: ${share(jaccard(overall), 3)} (${grouped(overall.both)} ${units} in both${sofar})`;
}
