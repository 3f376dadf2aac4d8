/** The content of the cell panel. Pure; figures that do not depend on the budget are memoized with the scores. */
import { counted, grouped, percent } from '../../../trainer/protocol/text/format.ts';
import type { TooltipContent } from '../../shared/tooltip-content.ts';
import type { Picture } from '../picture.ts';
import type { CellScores } from '../score-store.ts';
import { cellFacts, scoreText } from './cell-facts.ts';
import { BINS, binCounts, type HistogramContent, scalesOf } from './cell-scales.ts';
import { markOf, selectedRows } from './selection-view.ts';
import { createStrip, type StripContent } from './strip-drawing.ts';

/** The scores of one module in both sets, and its marked rows. */
export interface CellNeurons {
  readonly a: CellScores;
  /** Undefined if the other set has no scores of the module, or if the module has another size there, so its neurons differ. */
  readonly b: CellScores | undefined;
  /** [rows] 1 for marked rows. */
  readonly isSelected: Uint8Array;
  /** [rows] 1 for rows that the run trains, whatever the budget selects. */
  readonly isTrained: Uint8Array;
  /** The term for marked rows. */
  readonly mark: ReturnType<typeof markOf>;
  /** The term for one row: a neuron or a column. */
  readonly one: 'neuron' | 'column';
  /** Returns the neuron at a position of the strip. */
  readonly neuronAt: (place: number) => number;
}

export interface CellContent {
  readonly head: TooltipContent;
  /** Undefined if the module has no scores. */
  readonly neurons?: CellNeurons & {
    readonly strip: StripContent;
    readonly histogram: HistogramContent;
    /** A sentence that summarizes all scores for screen readers. */
    readonly sentence: string;
  };
}

export function cellContent(picture: Picture, module: number): CellContent {
  const head = cellFacts(picture, module);
  const { names, modules, a: setA, b: setB, choice, trained, counts, countsB, state } = picture;
  const name = names[module] ?? '';
  const [a, found] = [setA.get(name), setB.get(name)];
  if (!a) return { head };
  const rows = a.scores.length;
  const b = found?.scores.length === rows ? found : undefined;
  const count = counts[module] ?? 0;
  const chosen = selectedRows(a, count, trained.a.get(name), choice);
  const chosenB = selectedRows(b, countsB?.[module] ?? 0, trained.b.get(name), choice);
  const isSelected = marksOf(rows, chosen);
  const stripA = createStrip(a, isSelected, state.order);
  const mark = markOf(choice);
  const one = modules[module]?.unit === 'columns' ? 'column' : 'neuron';
  const scales = scalesOf(a, state.scale);
  return {
    head,
    neurons: {
      a,
      b,
      isSelected,
      isTrained: marksOf(rows, trained.a.get(name) ?? new Int32Array(0)),
      mark,
      one,
      neuronAt: stripA.neuronAt,
      strip: {
        a: stripA,
        scaleA: scales.profile,
        b: b && createStrip(b, marksOf(rows, chosenB), state.order, a),
        scaleB: b && scalesOf(b, state.scale).profile,
        map: picture.bandMap,
        unit: state.order === 'sorted' ? 'rank' : one,
      },
      histogram: {
        histogram: { counts: scales.counts, selected: binCounts(a.scores, chosen, scales.spread, BINS) },
        scale: scales.spread,
        threshold: choice.kind === 'budget' && a.block === 1 ? a.scores[a.order[count - 1] ?? -1] : undefined,
        mark,
      },
      sentence: `${counted(rows, one)} ${state.order === 'sorted' ? 'by descending score' : 'by position'}, ${grouped(chosen.length)} ${mark} (${percent(chosen.length / rows)}), scores from ${scoreText(a.min)} to ${scoreText(a.max)}`,
    },
  };
}

function marksOf(rows: number, chosen: Int32Array): Uint8Array {
  const marks = new Uint8Array(rows);
  for (const row of chosen) marks[row] = 1;
  return marks;
}

/** The facts about the neuron at a position of the strip; undefined beyond its end. */
export function neuronFacts(neurons: CellNeurons, place: number): TooltipContent | undefined {
  const { a, b, one, neuronAt, isSelected, isTrained, mark } = neurons;
  const rows = a.scores.length;
  if (place >= rows) return undefined;
  const row = neuronAt(place);
  const facts: (readonly [string, string])[] = [
    [b ? 'score A' : 'score', scoreText(a.scores[row])],
    [b ? 'rank A' : 'rank', `${grouped((a.ranks[row] ?? 0) + 1)} of ${grouped(rows)}`],
  ];
  if (b) facts.push(['score B', scoreText(b.scores[row])], ['rank B', grouped((b.ranks[row] ?? 0) + 1)]);
  const marks = [...(isSelected[row] ? [mark] : []), ...(isTrained[row] && mark !== 'trained' ? ['trained by the run'] : [])];
  return { title: `${one} ${grouped(row)}`, subtitle: marks.length > 0 ? marks.join(', ') : undefined, facts };
}

/** The same facts for screen readers. */
export function neuronSentence(neurons: CellNeurons, place: number): string {
  const { title, subtitle, facts } = neuronFacts(neurons, place) ?? { title: '', facts: [] };
  return [title, ...(subtitle ? [subtitle] : []), ...facts.map(([fact, value]) => `${fact} ${value}`)].join(', ');
}
