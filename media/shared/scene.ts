/** A picture as a list of rectangles and texts, so that PNG and SVG look the same. */

export interface SceneRect {
  readonly kind: 'rect';
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly fill: string;
  /** The SVG's title for screen readers. */
  readonly title?: string;
}

export interface SceneText {
  readonly kind: 'text';
  readonly x: number;
  readonly y: number;
  readonly text: string;
  readonly fill: string;
  readonly size: number;
  readonly anchor: 'start' | 'middle' | 'end';
  readonly isBold?: boolean;
}

export interface Scene {
  readonly width: number;
  readonly height: number;
  readonly background: string;
  readonly title: string;
  readonly items: readonly (SceneRect | SceneText)[];
}

export const SCENE_FONT = 'system-ui, -apple-system, "Segoe UI", sans-serif';
const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escapeXml = (text: string): string => text.replace(/[&<>"]/g, char => ESCAPES[char] ?? char);
/** Rounds to hundredths of a pixel. */
const short = (value: number): string => String(Math.round(value * 100) / 100);

export function toSvg({ width, height, background, title, items }: Scene): string {
  const body = items.map(item => {
    if (item.kind === 'text') {
      const weight = item.isBold ? ' font-weight="600"' : '';
      return `<text x="${short(item.x)}" y="${short(item.y)}" fill="${escapeXml(item.fill)}" font-size="${item.size}" text-anchor="${item.anchor}"${weight}>${escapeXml(item.text)}</text>`;
    }
    const shape = `x="${short(item.x)}" y="${short(item.y)}" width="${short(item.width)}" height="${short(item.height)}" fill="${escapeXml(item.fill)}"`;
    return item.title === undefined ? `<rect ${shape}/>` : `<rect ${shape}><title>${escapeXml(item.title)}</title></rect>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" font-family='${SCENE_FONT}'>`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="${escapeXml(background)}"/>`,
    ...body,
    '</svg>\n',
  ].join('\n');
}
