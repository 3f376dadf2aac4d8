/** A picture as a list of rectangles and texts, so that what is saved as PNG and as SVG is the same. */

export interface SceneRect {
  readonly kind: 'rect';
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly fill: string;
  /** What a reader of the SVG is told. */
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

const FONT = 'system-ui, -apple-system, "Segoe UI", sans-serif';
const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escapeXml = (text: string): string => text.replace(/[&<>"]/g, char => ESCAPES[char] ?? char);
/** A hundredth of a pixel is enough. */
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
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" font-family='${FONT}'>`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="${escapeXml(background)}"/>`,
    ...body,
    '</svg>\n',
  ].join('\n');
}

/** The largest side that every browser draws. */
const MAX_CANVAS_SIDE = 8192;

/** @returns the bytes of a PNG of twice the size, or as large as a canvas may be */
export async function toPng(scene: Scene): Promise<Uint8Array> {
  const ratio = Math.min(2, MAX_CANVAS_SIDE / scene.width, MAX_CANVAS_SIDE / scene.height);
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(scene.width * ratio);
  canvas.height = Math.round(scene.height * ratio);
  const context = canvas.getContext('2d');
  if (!context) throw new Error('this browser gives no canvas to draw on');
  context.scale(ratio, ratio);
  context.fillStyle = scene.background;
  context.fillRect(0, 0, scene.width, scene.height);
  for (const item of scene.items) {
    context.fillStyle = item.fill;
    if (item.kind === 'rect') context.fillRect(item.x, item.y, item.width, item.height);
    else {
      context.font = `${item.isBold ? '600 ' : ''}${item.size}px ${FONT}`;
      context.textAlign = item.anchor === 'middle' ? 'center' : item.anchor;
      context.fillText(item.text, item.x, item.y);
    }
  }
  const blob = await new Promise<Blob | null>(resolve => canvas.toBlob(resolve, 'image/png'));
  if (!blob) throw new Error('the picture is too large to be saved as PNG; save it as SVG');
  return new Uint8Array(await blob.arrayBuffer());
}
