/** Perceptually uniform color maps: matplotlib's viridis, cividis and magma, and ColorBrewer's RdBu for differences. */

export type ColorMapName = 'viridis' | 'cividis' | 'magma';
export const colorMapNames: readonly ColorMapName[] = ['viridis', 'cividis', 'magma'];

/** Equally spaced control points with linear interpolation: within 11 of 255 of the published 256 colors. */
const CONTROL_POINTS: Readonly<Record<ColorMapName | 'difference', string>> = {
  viridis: '440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26818e 21908c 1f9f88 28ae80 3ebc74 5dc963 82d34c abdc32 d5e21a fde725',
  cividis: '00224e 002e6a 1a386f 32436d 434e6c 52596d 61656f 6f7073 7c7b78 8b8778 9b9376 aba072 bbad6c ccba64 ddc958 efd748 fee838',
  magma: '000004 0a0822 1d1146 36106a 50127c 691c81 822681 9c2e7f b63779 cf4170 e65163 f5695c fb8761 fea571 fec387 fde0a2 fcfdbf',
  difference: '053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f',
};

/** Number of colors; finer than a screen can show. */
export const COLORS = 256;

export interface ColorMap {
  /** Red, green and blue values. [COLORS × 3] */
  readonly rgb: Uint8ClampedArray;
  /** The same colors for style sheets and canvases. */
  readonly css: readonly string[];
}

const made = new Map<string, ColorMap>();

export function colorMap(name: ColorMapName | 'difference'): ColorMap {
  const known = made.get(name);
  if (known) return known;
  const points = CONTROL_POINTS[name].split(' ').map(hex => [0, 2, 4].map(at => Number.parseInt(hex.slice(at, at + 2), 16)));
  const rgb = new Uint8ClampedArray(3 * COLORS);
  for (let i = 0; i < COLORS; i++) {
    const place = (i / (COLORS - 1)) * (points.length - 1);
    const below = Math.min(points.length - 2, Math.floor(place));
    for (let channel = 0; channel < 3; channel++) {
      const [a = 0, b = 0] = [points[below]?.[channel], points[below + 1]?.[channel]];
      rgb[3 * i + channel] = a + (b - a) * (place - below);
    }
  }
  const css = Array.from({ length: COLORS }, (_, i) => `rgb(${rgb.subarray(3 * i, 3 * i + 3).join(' ')})`);
  const map = { rgb, css };
  made.set(name, map);
  return map;
}

/** @param position from 0 to 1 */
export const colorIndex = (position: number): number => Math.round(Math.min(1, Math.max(0, position)) * (COLORS - 1));

/** Returns black or white, whichever is readable on this color (relative luminance of WCAG 2). */
export function inkOn({ rgb }: ColorMap, index: number): '#000' | '#fff' {
  const [r = 0, g = 0, b = 0] = [...rgb.subarray(3 * index, 3 * index + 3)].map(value => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? '#000' : '#fff';
}
