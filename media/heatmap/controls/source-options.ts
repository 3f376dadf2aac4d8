/** The lists of scores and classes that the toolbar offers. Pure. */
import { labelIn } from '../../../trainer/catalog/labels.ts';
import type { HeatmapSource, HeatmapSourceInfo, ScoreSetInfo, ScoreSetRef } from '../../../trainer/protocol/view/heatmap.ts';
import { setOf } from '../view-state.ts';
import type { Option } from './options.ts';

/** The value that stands for no comparison. */
export const NONE = '';

/** An entry of a list: one measure of one source, with its sets over all classes and by class. */
export interface ScoreEntry extends Option {
  /** The first set of the entry; the set over all classes if it exists. */
  readonly ref: ScoreSetRef;
}

const idOf = (path: string, measure: string): string => JSON.stringify([path, measure]);

/** The sets of one measure: over all classes, or by class. */
const setsOf = (source: HeatmapSourceInfo | undefined, measure: string | undefined): readonly ScoreSetInfo[] =>
  source?.sets.filter(set => set.measure === measure) ?? [];

export function scoreEntries(sources: readonly HeatmapSourceInfo[]): readonly ScoreEntry[] {
  return sources.flatMap((source): ScoreEntry[] => {
    const { path, label, sets } = source;
    const measures = [...new Set(sets.map(({ measure }) => measure))];
    if (measures.length === 0) return [{ value: idOf(path, ''), label, ref: { path, key: '' } }];
    return measures.map(measure => {
      const own = setsOf(source, measure);
      const first = own.find(({ className }) => className === undefined) ?? own[0];
      return {
        value: idOf(path, measure),
        label: `${label} · ${labelIn('measure', measure)}`,
        group: measures.length > 1 ? label : undefined,
        ref: { path, key: first?.key ?? '' },
      };
    });
  });
}

/** The entry that a set belongs to. */
export const entryOf = (sources: readonly HeatmapSourceInfo[], ref: ScoreSetRef | undefined): string =>
  ref ? idOf(ref.path, setOf(sources, ref)?.measure ?? '') : NONE;

/** Options for the comparison: the open scores, then runs and files nearby. */
export const comparisonOptions = (entries: readonly ScoreEntry[], candidates: readonly HeatmapSource[]): readonly Option[] => [
  { value: NONE, label: 'nothing' },
  ...entries.map(({ value, label, group }) => ({ value, label, group: group ?? 'Open' })),
  ...candidates.map(({ path, label }) => ({ value: path, label, group: 'Open and compare' })),
];

/** The classes of a set's measure; empty if there is no choice. */
export function classOptions(source: HeatmapSourceInfo | undefined, ref: ScoreSetRef | undefined): readonly Option[] {
  const set = source?.sets.find(({ key }) => key === ref?.key);
  const options = setsOf(source, set?.measure).map(({ key, className }) => ({ value: key, label: className ?? 'all' }));
  return options.length > 1 ? options : [];
}
