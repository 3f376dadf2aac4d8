/** Tests laws of the scales, the color maps, the view and the strip. */
import { describe, expect, test } from 'vitest';
import { createRangeMax } from '../../../media/heatmap/cell/range-max.ts';
import { columnOf, createStrip, placesAt } from '../../../media/heatmap/cell/strip-drawing.ts';
import { differences, scaleOf } from '../../../media/heatmap/grid/cell-values.ts';
import { bounded, completing, panned, revealing, whole, zoomed, zoomedAt } from '../../../media/heatmap/grid/viewport.ts';
import { cellScores } from '../../../media/heatmap/score-store.ts';
import { COLORS, colorIndex, colorMap, colorMapNames, inkOn } from '../../../media/shared/color-maps.ts';
import { createScale, differenceScale, niceTicks, scaleNames } from '../../../media/shared/scale.ts';
import { createRandom } from '../../../trainer/random.ts';

const random = createRandom(3);
const values = Float64Array.from({ length: 300 }, () => Math.round(random.uniform() * 100) ** 3 / 10);

describe.each(scaleNames)('the scale %s', name => {
  const scale = createScale(name, values);
  const positions = [...values].sort((a, b) => a - b).map(scale.position);

  test('never falls, and spans 0 to 1', () => {
    for (let i = 1; i < positions.length; i++) expect(positions[i]).toBeGreaterThanOrEqual(positions[i - 1] as number);
    expect([positions[0], positions.at(-1)]).toEqual([expect.closeTo(0, 1), expect.closeTo(1, 1)]);
  });

  test('gives equal values one position, and what is beyond the ends the ends', () => {
    expect(new Set(positions).size).toBeLessThanOrEqual(new Set(values).size);
    expect(scale.position(1e9)).toBe(1);
    expect(scale.position(-1)).toBe(0);
    expect(scale.position(Number.NaN)).toBeNaN();
  });

  test('has ticks within it that rise', () => {
    const ticks = scale.ticks(5).map(({ position }) => position);
    expect(ticks.length).toBeGreaterThan(1);
    expect([...ticks].sort((a, b) => a - b)).toEqual(ticks);
    for (const position of ticks) expect(position >= 0 && position <= 1).toBe(true);
  });

  test('holds for one value and for none', () => {
    expect(createScale(name, [5, 5, 5]).position(5)).toBe(0.5);
    expect(createScale(name, [Number.NaN]).isEmpty).toBe(true);
  });
});

test('by rank every step is equal', () => {
  const scale = createScale('rank', [1000, 1, 10, 100, 0]);
  expect([0, 1, 10, 100, 1000].map(scale.position)).toEqual([0, 0.25, 0.5, 0.75, 1]);
});

test('by the logarithm equal factors are equal steps, and zero is at the lower end', () => {
  const scale = createScale('log', [0, 1, 10, 100]);
  expect([0, 1, 10, 100].map(scale.position)).toEqual([0, 0, 0.5, 1]);
});

test('a scale of differences has zero in its middle', () => {
  const scale = differenceScale([-1, 4, Number.NaN]);
  expect([-4, -1, 0, 4].map(scale.position)).toEqual([0, 0.375, 0.5, 1]);
});

test('ticks are round numbers within the range', () => {
  expect(niceTicks(0.0031, 0.0719, 5)).toEqual([0.02, 0.04, 0.06]);
  expect(niceTicks(3, 3, 5)).toEqual([3]);
});

describe('differences of two sets', () => {
  const [a, b] = [Float64Array.of(1, 2, 3), Float64Array.of(30, 20, 10)];

  test('of one measure are subtracted directly', () => expect([...differences(a, b, 'linear', true).values]).toEqual([-29, -18, -7]));

  test('of two measures do not depend on their units', () => {
    const scaled = b.map(value => 1000 * value);
    for (const scale of scaleNames) {
      const [one, other] = [differences(a, b, scale, false).values, differences(a, scaled, scale, false).values];
      for (const i of one.keys()) expect(one[i]).toBeCloseTo(other[i] as number, 12);
    }
  });

  test('change their sign with their order', () => {
    for (const scale of scaleNames) {
      const [one, other] = [differences(a, b, scale, false).values, differences(b, a, scale, false).values];
      for (const i of one.keys()) expect(one[i]).toBeCloseTo(-(other[i] as number), 12);
    }
  });

  test('are drawn around zero, an overlap from 0 to 1', () => {
    expect(scaleOf('difference', 'mean', 'linear', Float64Array.of(-2, 1)).position(0)).toBe(0.5);
    expect(scaleOf('overlap', 'mean', 'linear', Float64Array.of(0.5)).position(0.5)).toBe(0.5);
  });
});

describe('color maps', () => {
  test.each(colorMapNames)('%s grows lighter all the way', name => {
    const { rgb } = colorMap(name);
    const lightness = Array.from(
      { length: COLORS },
      (_, i) => 0.2126 * (rgb[3 * i] as number) + 0.7152 * (rgb[3 * i + 1] as number) + 0.0722 * (rgb[3 * i + 2] as number),
    );
    for (let i = 8; i < COLORS; i += 8) expect(lightness[i]).toBeGreaterThan(lightness[i - 8] as number);
  });

  test('the ends are those that were published', () => {
    expect([colorMap('viridis').css[0], colorMap('viridis').css[255]]).toEqual(['rgb(68 1 84)', 'rgb(253 231 37)']);
    expect([colorIndex(-1), colorIndex(0.5), colorIndex(2)]).toEqual([0, 128, 255]);
  });

  test('what is written on a color can be read', () => {
    expect([inkOn(colorMap('viridis'), 0), inkOn(colorMap('viridis'), 255)]).toEqual(['#fff', '#000']);
  });
});

describe('the view', () => {
  const limits = { total: 100, least: 10 };

  test('never leaves what there is', () => {
    expect(bounded({ start: -5, length: 400 }, limits)).toEqual({ start: 0, length: 100 });
    expect(panned({ start: 80, length: 20 }, 50, limits)).toEqual({ start: 80, length: 20 });
    expect(zoomed(whole(limits), 1000, 0.5, limits)).toEqual({ start: 45, length: 10 });
  });

  test('keeps what is under the pointer in place', () => {
    const view = zoomed({ start: 20, length: 40 }, 2, 0.25, limits);
    expect(view.start + 0.25 * view.length).toBe(20 + 0.25 * 40);
  });

  test('moves no further than to show a thing', () => {
    expect(revealing({ start: 20, length: 10 }, 25, limits).start).toBe(20);
    expect(revealing({ start: 20, length: 10 }, 40, limits).start).toBe(31);
    expect(revealing({ start: 20, length: 10 }, 3, limits).start).toBe(3);
  });

  test('shows all of a thing that its edge cuts, and does not return to one outside', () => {
    expect(completing({ start: 20, length: 10.5 }, 30, limits).start).toBe(20.5);
    expect(completing({ start: 20.5, length: 10 }, 20, limits).start).toBe(20);
    expect(completing({ start: 20, length: 10 }, 25, limits).start).toBe(20);
    expect(completing({ start: 20, length: 10 }, 30, limits).start).toBe(20);
  });

  test('zooms around a thing at its edge without cutting it', () => {
    const view = zoomedAt({ start: 20, length: 40 }, 2, 59, limits);
    expect(view).toEqual({ start: 40, length: 20 });
    expect(zoomedAt({ start: 20, length: 40 }, 2, 90, limits)).toEqual({ start: 30, length: 20 });
  });
});

describe('the strip', () => {
  const scores = Float32Array.from({ length: 1777 }, () => random.uniform());
  const cell = cellScores(scores);
  const isSelected = new Uint8Array(scores.length);
  for (const row of cell.order.subarray(0, 50)) isSelected[row] = 1;

  test('the largest of a range is that of looking at each', () => {
    const tree = createRangeMax(scores);
    for (let i = 0; i < 200; i++) {
      const [one, other] = [Math.floor(random.uniform() * 1777), Math.floor(random.uniform() * 1777)];
      const [a, b] = [Math.min(one, other), Math.max(one, other)];
      expect(tree.max(a, b + 1)).toBe(Math.max(...scores.subarray(a, b + 1)));
    }
    expect(tree.max(5, 5)).toBeNaN();
  });

  test.each([300, 1777, 5000])('shows every neuron and every selected row in %i pixels', width => {
    const strip = createStrip(cell, isSelected, 'position');
    const seen = new Set<number>();
    let highest = 0;
    for (let x = 0; x < width; x++) {
      const { from, to } = placesAt(whole({ total: 1777, least: 1 }), x, width, 1777);
      for (let place = from; place < to; place++) seen.add(place);
      highest = Math.max(highest, columnOf(strip, from, to).max);
    }
    expect(seen.size).toBe(1777);
    expect(highest).toBe(cell.max);
    expect(columnOf(strip, 0, 1777).selected).toBe(50);
  });

  test('sorted it begins with the selected rows', () => {
    const strip = createStrip(cell, isSelected, 'sorted');
    expect(columnOf(strip, 0, 50).selected).toBe(50);
    expect(strip.neuronAt(0)).toBe(cell.order[0]);
    for (let place = 1; place < 1777; place++)
      expect(strip.maxima.max(place, place + 1)).toBeLessThanOrEqual(strip.maxima.max(place - 1, place));
  });

  test('a profile is as high as the module is', () => {
    expect(Math.max(...cell.profile)).toBe(1);
    expect(cellScores(new Float32Array(10)).profile).toEqual(new Float32Array(10));
  });
});
