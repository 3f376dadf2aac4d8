/** The map as a picture, and the values of the map or of a cell as tables. Pure. */
import { COLORS, colorIndex, inkOn } from '../shared/color-maps.ts';
import { type Cell, csv } from '../shared/csv.ts';
import type { Scene, SceneRect, SceneText } from '../shared/scene.ts';
import { valueText } from './cell/cell-facts.ts';
import { jaccard, selectedRows } from './cell/selection-view.ts';
import { lastParts } from './grid/grid.ts';
import type { Picture } from './picture.ts';

const CELL = { width: 76, height: 18 } as const;
const LEFT = 96;
const TOP = 64;
const LEGEND = { width: 256, height: 12, space: 64 } as const;
const INK = '#1f1f1f';
const MUTED = '#5f5f5f';

/** Draws the whole grid on white, with labels and a legend. */
export function heatmapScene(picture: Picture, title: string): Scene {
  const { grid, positions, map, scale, meaning } = picture;
  const [width, height] = [LEFT + grid.columns.length * CELL.width + 16, TOP + grid.rows.length * CELL.height + LEGEND.space];
  const items: (SceneRect | SceneText)[] = [
    text(LEFT, 20, title, { size: 14, anchor: 'start', isBold: true }),
    text(LEFT, 38, meaning, { fill: MUTED, anchor: 'start' }),
    ...grid.columns.map(({ label }, i) => text(LEFT + (i + 0.5) * CELL.width, TOP - 6, label, {})),
    ...grid.rows.map(({ label }, i) => text(LEFT - 8, TOP + (i + 0.5) * CELL.height + 4, label, { anchor: 'end', fill: MUTED })),
  ];
  grid.places.forEach(({ row, column }, module) => {
    const [x, y] = [LEFT + column * CELL.width, TOP + row * CELL.height];
    const position = positions[module] ?? Number.NaN;
    const index = Number.isNaN(position) ? -1 : colorIndex(position);
    const fill = map.css[index] ?? '#e5e5e5';
    const own = grid.rows[row]?.isBlock ? '' : `${lastParts(picture.names[module] ?? '')} `;
    items.push(
      {
        kind: 'rect',
        x,
        y,
        width: CELL.width - 1,
        height: CELL.height - 1,
        fill,
        title: `${picture.names[module]}: ${valueText(picture, module)}`,
      },
      text(x + CELL.width / 2, y + 13, clipped(`${own}${valueText(picture, module)}`), {
        size: 10,
        fill: index < 0 ? INK : inkOn(map, index),
      }),
    );
  });
  const y = height - LEGEND.space + 20;
  for (let i = 0; i < COLORS; i++)
    items.push({
      kind: 'rect',
      x: LEFT + (i * LEGEND.width) / COLORS,
      y,
      width: LEGEND.width / COLORS + 0.5,
      height: LEGEND.height,
      fill: map.css[i] ?? INK,
    });
  for (const { position, label } of scale.ticks(5))
    items.push(text(LEFT + position * LEGEND.width, y + LEGEND.height + 14, label, { size: 10, fill: MUTED }));
  return { width: Math.max(width, LEFT + LEGEND.width + 32), height, background: '#ffffff', title, items };
}

const clipped = (label: string): string => (label.length > 13 ? `${label.slice(0, 12)}…` : label);

const text = (x: number, y: number, content: string, look: Partial<Pick<SceneText, 'size' | 'fill' | 'anchor' | 'isBold'>>): SceneText => ({
  kind: 'text',
  x,
  y,
  text: content,
  fill: INK,
  size: 11,
  anchor: 'middle',
  ...look,
});

/** Returns one line per module; `shown` is the value that determines the color of the cell. */
export function heatmapCsv(picture: Picture, describe: { readonly a: string; readonly b?: string }): string {
  const { names, modules, grid, a, b, counts, values, overlaps, state, countsB } = picture;
  const hasB = state.b !== undefined;
  const head = ['module', 'layer', 'column', 'shape', 'rows', 'selected', 'parameters', 'mean', 'max', 'min'];
  const more = hasB ? ['selected_b', 'mean_b', 'max_b', 'min_b', 'shared', 'jaccard'] : [];
  const lines = names.map((name, i): Cell[] => {
    const place = grid.places[i];
    const info = modules[i];
    const [cellA, cellB, overlap, count] = [a.get(name), b.get(name), overlaps[i], counts[i] ?? 0];
    const row = place && grid.rows[place.row];
    return [
      name,
      row?.label,
      row?.isBlock ? grid.columns[place?.column ?? 0]?.label : lastParts(name),
      info?.shape.join('x'),
      info?.shape[0],
      count,
      info?.rowParameters === undefined ? undefined : Math.round(info.rowParameters * count),
      ...[cellA?.mean, cellA?.max, cellA?.min],
      ...(hasB
        ? [
            countsB?.[i],
            ...[cellB?.mean, cellB?.max, cellB?.min],
            overlap?.both,
            overlap && !Number.isNaN(jaccard(overlap)) ? jaccard(overlap) : undefined,
          ]
        : []),
      Number.isNaN(values[i]) ? undefined : values[i],
      describe.a,
      ...(hasB ? [describe.b] : []),
    ];
  });
  return csv([[...head, ...more, 'shown', 'scores', ...(hasB ? ['compared_with'] : [])], ...lines]);
}

/** Returns one line per row or column of a module, in order of position. */
export function cellCsv(picture: Picture, module: number): string {
  const name = picture.names[module] ?? '';
  const [cellA, cellB] = [picture.a.get(name), picture.b.get(name)];
  if (!cellA) return '';
  const chosen = new Set(selectedRows(cellA, picture.counts[module] ?? 0, picture.trained.a.get(name), picture.choice));
  const lines = [...cellA.scores].map((score, row): Cell[] => [
    row,
    score,
    (cellA.ranks[row] ?? 0) + 1,
    Number(chosen.has(row)),
    ...(cellB ? [cellB.scores[row], (cellB.ranks[row] ?? 0) + 1] : []),
  ]);
  return csv([
    [
      picture.modules[module]?.unit === 'columns' ? 'column' : 'neuron',
      'score',
      'rank',
      'selected',
      ...(cellB ? ['score_b', 'rank_b'] : []),
    ],
    ...lines,
  ]);
}

/** Returns a file name for the view, without characters that file systems reject. */
export const fileName = (description: string, extension: string): string =>
  `${
    description
      .replace(/[^\p{L}\p{N}._-]+/gu, '-')
      .replace(/^[-.]+|[-.]+$/g, '')
      .slice(0, 120) || 'heatmap'
  }.${extension}`;
