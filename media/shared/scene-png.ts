/** Draws a scene on a canvas and saves it as PNG. */
import { SCENE_FONT, type Scene } from './scene.ts';

/** Largest canvas side that every browser can draw, in pixels. */
const MAX_CANVAS_SIDE = 8192;

/** @returns the bytes of a PNG at twice the size, limited by the largest canvas */
export async function toPng(scene: Scene): Promise<Uint8Array> {
  const ratio = Math.min(2, MAX_CANVAS_SIDE / scene.width, MAX_CANVAS_SIDE / scene.height);
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(scene.width * ratio);
  canvas.height = Math.round(scene.height * ratio);
  const context = canvas.getContext('2d');
  if (!context) throw new Error('this browser does not provide a canvas');
  context.scale(ratio, ratio);
  context.fillStyle = scene.background;
  context.fillRect(0, 0, scene.width, scene.height);
  for (const item of scene.items) {
    context.fillStyle = item.fill;
    if (item.kind === 'rect') context.fillRect(item.x, item.y, item.width, item.height);
    else {
      context.font = `${item.isBold ? '600 ' : ''}${item.size}px ${SCENE_FONT}`;
      context.textAlign = item.anchor === 'middle' ? 'center' : item.anchor;
      context.fillText(item.text, item.x, item.y);
    }
  }
  const blob = await new Promise<Blob | null>(resolve => canvas.toBlob(resolve, 'image/png'));
  if (!blob) throw new Error('the picture is too large for PNG; save it as SVG');
  return new Uint8Array(await blob.arrayBuffer());
}
