/** The figures of chosen rows: for each base, the overlap of choices by block, with one panel per measure. Pure. */
import { chart, type Panel, type Series } from '../../chart.ts';
import { mean } from '../statistics.ts';
import { bases, type PairKind } from './neuron-plan.ts';
import type { NeuronRow, OverlapRow } from './neuron-rows.ts';

const KINDS: readonly { readonly kind: PairKind; readonly name: string; readonly color: string }[] = [
  { kind: 'halves', name: 'two halves of one task', color: '#0072b2' },
  { kind: 'seeds', name: 'two seeds of one task', color: '#009e73' },
  { kind: 'tasks', name: 'two tasks', color: '#d55e00' },
];

export const neuronFigureName = (base: string): string => `neurons-${base}.svg`;

/** Maps file names to SVG; empty without parts. */
export function neuronFigures(rows: readonly NeuronRow[]): ReadonlyMap<string, string> {
  const found = bases.flatMap(base => {
    const panels = rows.flatMap(row => (row.kind === 'overlap' && row.base === base && row.measure !== 'random' ? [panel(row)] : []));
    return panels.length === 0
      ? []
      : [[neuronFigureName(base), chart({ title: `Overlap of chosen rows, ${base}`, panels, markers: [] })] as const];
  });
  return new Map(found);
}

function panel(row: OverlapRow): Panel {
  const layers = row.pairs[0]?.byLayer.length ?? 0;
  const series = KINDS.map(({ kind, name, color }): Series => {
    const own = row.pairs.filter(pair => pair.kind === kind);
    const at = (layer: number): number => mean(own.map(({ byLayer }) => byLayer[layer] ?? Number.NaN));
    return {
      name,
      color,
      line: 'solid',
      hollow: false,
      points: Array.from({ length: layers }, (_, layer) => ({ x: layer, y: at(layer), marker: 'circle' as const })),
    };
  });
  const chance: Series = {
    name: 'by chance',
    color: '#777777',
    line: 'dashed',
    hollow: false,
    points: [0, layers - 1].map(x => ({ x, y: row.chance, marker: 'none' as const })),
  };
  return {
    title: row.measure,
    x: { label: 'block', scale: 'linear' },
    y: { label: 'overlap', scale: 'linear', to: 1 },
    series: [...series, chance],
  };
}
