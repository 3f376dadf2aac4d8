/** The files that the heatmap saves, and their names. */
import { toSvg } from '../shared/scene.ts';
import { toPng } from '../shared/scene-png.ts';
import { cellCsv, fileName, heatmapCsv, heatmapScene } from './export-files.ts';
import type { Picture } from './picture.ts';

export type MapFormat = 'png' | 'svg' | 'csv';

/** A file for the host to save. */
export interface MadeFile {
  readonly suggestedName: string;
  readonly content: string | Uint8Array;
}

/** The map in the given format. */
export async function mapFile(picture: Picture, format: MapFormat): Promise<MadeFile> {
  const { titleA: a, titleB: b } = picture;
  const title = b === undefined ? a : `${a} (A), ${b} (B)`;
  const suggestedName = fileName(title, format);
  if (format === 'csv') return { suggestedName, content: heatmapCsv(picture, { a, b }) };
  const scene = heatmapScene(picture, title);
  return { suggestedName, content: format === 'svg' ? toSvg(scene) : await toPng(scene) };
}

/** The scores of one module. */
export const cellFile = (picture: Picture, module: number): MadeFile => ({
  suggestedName: fileName(`${picture.titleA}-${picture.names[module] ?? ''}`, 'csv'),
  content: cellCsv(picture, module),
});
