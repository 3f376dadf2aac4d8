/** The colors of charts, from the editor's current theme. */
import type { CurveColor } from './curve-look.ts';

/** Fallback colors, from the default dark theme. */
const FALLBACKS: Readonly<Record<CurveColor, string>> = {
  blue: '#3794ff',
  orange: '#d18616',
  green: '#89d185',
  purple: '#b180d7',
  red: '#f14c4c',
  yellow: '#cca700',
  foreground: '#cccccc',
  lines: 'rgba(204, 204, 204, 0.5)',
};

/** The current color; query it again after a theme change. The editor's orange is translucent and too dark for a line, so it is adapted. */
export function colorOf(color: CurveColor): string {
  const found = property(`--vscode-charts-${color}`) || FALLBACKS[color];
  return color === 'orange' ? `rgb(from ${found} r g b / 1)` : found;
}

export const gridColor = (): string => property('--rowtune-grid') || 'rgba(128, 128, 128, 0.25)';
export const chartFont = (): string => `11px ${property('--vscode-font-family') || 'system-ui, sans-serif'}`;

const property = (name: string): string => getComputedStyle(document.body).getPropertyValue(name).trim();

/** Calls `changed` when the editor's theme changes. Returns the unsubscribe function. */
export function onThemeChange(changed: () => void): () => void {
  const observer = new MutationObserver(changed);
  observer.observe(document.body, { attributes: true, attributeFilter: ['class', 'data-vscode-theme-id'] });
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['style', 'class'] });
  return () => observer.disconnect();
}
