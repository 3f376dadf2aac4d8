/** Parallel coordinates of the visible runs: one line per run, through its settings to its result. */
import { element, fill } from '../shared/element.ts';
import { curveLook } from '../shared/series/curve-look.ts';
import type { ComparedRun } from './compared-run.ts';
import { type Axis, coordinatesOf } from './setting-axes.ts';

const SVG = 'http://www.w3.org/2000/svg';
/** Distance between axes, in units of the picture, which is scaled to the width of the page. */
const AXIS_GAP = 150;
/** Margins for labels: those of the first axis are on its left, all others on the right. */
const [LEFT, RIGHT] = [130, 90];
const [TOP, BOTTOM] = [34, 206];
const HEIGHT = 224;
/** Maximum number of characters between two axes. */
const MAX_LABEL = 20;

export function createCoordinates(): { readonly element: HTMLElement; update(runs: readonly ComparedRun[]): void } {
  const picture = element('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Settings and result' });
  const section = element(
    'section',
    { 'aria-label': 'Settings and result', hidden: true },
    element('h2', {}, 'Settings and result'),
    picture,
  );
  let drawn = '';
  return {
    element: section,
    update(all) {
      const runs = all.filter(({ isShown }) => isShown);
      const found = coordinatesOf(runs);
      section.hidden = found === undefined;
      const now = JSON.stringify([found?.axes, runs.map(({ model, look }) => [model.name, look])]);
      if (found === undefined || now === drawn) return;
      drawn = now;
      const width = placeOf(found.axes.length - 1) + RIGHT;
      const lines = runs.map((run, i) => runLine(run, positionsOf(found.axes, i), found.best.has(i)));
      const label = `A line for each run through ${found.axes.map(axis => axis.label).join(', ')}. The tables have the numbers.`;
      fill(
        picture,
        svg(
          'svg',
          { viewBox: `0 0 ${width} ${HEIGHT}`, width, class: 'coordinates', role: 'img', 'aria-label': label },
          found.axes.map(axisElement),
          lines,
          // The labels come last, on top of the lines, so that they stay readable.
          found.axes.flatMap(tickElements),
        ),
      );
    },
  };
}

function axisElement({ label }: Axis, index: number): SVGElement {
  const x = placeOf(index);
  return svg('g', {}, [
    textOf({ x, y: 16, 'text-anchor': 'middle', class: 'axis-label' }, label),
    svg('line', { x1: x, x2: x, y1: TOP, y2: BOTTOM, class: 'axis' }),
  ]);
}

function tickElements({ ticks }: Axis, index: number): SVGElement[] {
  const side = index === 0 ? { x: placeOf(index) - 6, 'text-anchor': 'end' } : { x: placeOf(index) + 6, 'text-anchor': 'start' };
  return ticks.map(({ position, label }) => textOf({ ...side, y: heightOf(position) + 4, class: 'axis-tick' }, label));
}

/** A label that fits next to its axis; if it is cut, its tooltip shows the full text. */
const textOf = (attributes: Readonly<Record<string, string | number>>, label: string): SVGElement =>
  label.length <= MAX_LABEL
    ? svg('text', attributes, [label])
    : svg('text', attributes, [`${label.slice(0, MAX_LABEL - 1)}…`, svg('title', {}, [label])]);

const positionsOf = (axes: readonly Axis[], run: number): (number | undefined)[] => axes.map(({ positions }) => positions[run]);

/** The line of a run, with a gap at each setting that the run lacks. */
function runLine({ model, look }: ComparedRun, positions: readonly (number | undefined)[], isBest: boolean): SVGElement {
  const { color, dash } = curveLook(look);
  const path = positions.flatMap((position, i) => {
    if (position === undefined) return [];
    const isJoined = i > 0 && positions[i - 1] !== undefined;
    return [`${isJoined ? 'L' : 'M'}${placeOf(i)} ${heightOf(position)}`];
  });
  const attributes = { d: path.join(''), class: `run-line swatch-${color}${isBest ? ' best' : ''}`, 'stroke-dasharray': dash.join(' ') };
  return svg('path', attributes, [svg('title', {}, [isBest ? `${model.name}, the best` : model.name])]);
}

const placeOf = (index: number): number => LEFT + index * AXIS_GAP;
const heightOf = (position: number): number => BOTTOM - position * (BOTTOM - TOP);

function svg(
  tag: string,
  attributes: Readonly<Record<string, string | number>>,
  ...children: readonly (readonly (Node | string)[])[]
): SVGElement {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== '') made.setAttribute(name, String(value));
  made.append(...children.flat());
  return made;
}
