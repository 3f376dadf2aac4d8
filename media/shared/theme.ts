/** The editor's colors for canvases, which can't use style sheets. */

export interface Theme {
  readonly foreground: string;
  readonly muted: string;
  readonly background: string;
  readonly border: string;
  readonly focus: string;
  /** The color of trained rows. */
  readonly accent: string;
  readonly plain: string;
  readonly font: string;
  /** True for high-contrast themes, where borders replace color contrast. */
  readonly isHighContrast: boolean;
}

/** The CSS properties that heatmap.css derives from the editor's theme, with fallbacks. */
const NAMES: Readonly<Record<Exclude<keyof Theme, 'isHighContrast' | 'font'>, string>> = {
  foreground: '--foreground',
  muted: '--muted',
  background: '--background',
  border: '--border',
  focus: '--focus',
  accent: '--accent',
  plain: '--plain',
};

export function readTheme(): Theme {
  const style = getComputedStyle(document.body);
  const color = (name: keyof typeof NAMES): string => style.getPropertyValue(NAMES[name]).trim();
  return {
    foreground: color('foreground'),
    muted: color('muted'),
    background: color('background'),
    border: color('border'),
    focus: color('focus'),
    accent: color('accent'),
    plain: color('plain'),
    font: style.fontFamily,
    isHighContrast: isHighContrast(),
  };
}

export function isHighContrast(): boolean {
  const { classList } = document.body;
  return classList.contains('vscode-high-contrast') || classList.contains('vscode-high-contrast-light');
}
