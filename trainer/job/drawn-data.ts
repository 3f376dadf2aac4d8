/** The samples that a recipe draws of a data set on the hub, read by byte ranges where the draw takes a part of the files. */
import { rename } from 'node:fs/promises';
import path from 'node:path';
import { objectiveCatalog } from '../catalog/objectives.ts';
import { appendDrawn, drawGroups } from '../data/read/parquet-drawn.ts';
import { fileSize } from '../format/model-config.ts';
import { requireSpace, withLock } from '../hub/hub-cache.ts';
import { type DataSetPart, fileOfSplit, findDataSet, openDataSet } from '../hub/hub-dataset.ts';
import type { DownloadOptions } from '../hub/hub-download.ts';
import { counted, grouped } from '../protocol/format.ts';
import type { Recipe } from '../protocol/recipe-schema.ts';

/** If the draw needs a larger share of the bytes, whole files are fetched: they serve other draws, too. */
const MOST_OF_FILES = 0.5;

export interface DrawnFile {
  /** A file of JSON Lines with the drawn samples in their order. */
  readonly path: string;
  readonly summary: string;
}

/**
 * The samples that training would draw from the whole data, in a file of the cache. An interrupted fetch continues in it.
 * @returns undefined where whole files are to be read
 * @throws HubError, or DataError for damaged files
 */
export async function drawnFile(
  of: DataSetPart,
  { recipe, count }: { readonly recipe: Recipe; readonly count: number | undefined },
  options: DownloadOptions,
): Promise<DrawnFile | undefined> {
  const { seed } = recipe;
  if (count === undefined || objectiveCatalog[recipe.task].reads === 'images') return undefined;
  const name = `drawn-${count}-${seed}.jsonl`;
  const summary = `${counted(count, 'sample')}, drawn by the seed ${seed}`;
  if (options.offline) {
    const kept = (await findDataSet(options.cacheDir, of)) === undefined ? await fileOfSplit(options.cacheDir, of, name) : undefined;
    return kept === undefined ? undefined : { path: kept, summary };
  }
  const { ranged } = await openDataSet(of, options);
  const [first] = ranged ?? [];
  if (ranged === undefined || first === undefined) return undefined;
  const folder = path.dirname(first.path);
  const file = path.join(folder, name);
  if ((await fileSize(file)) !== undefined) return { path: file, summary };
  const drawn = await drawGroups(ranged, { count, seed });
  if (drawn === undefined || drawn.bytes > MOST_OF_FILES * drawn.totalBytes || readsAllLabels(recipe, drawn.columns)) return undefined;
  await withLock(folder, async () => {
    const partial = `${file}.partial`;
    // Text that was packed takes several times its bytes.
    await requireSpace(folder, 4 * drawn.bytes);
    await appendDrawn(partial, drawn, bytes =>
      options.onProgress?.({ file: of.repo, fileBytes: bytes, fileSize: drawn.bytes, bytes, totalBytes: drawn.bytes }),
    );
    await rename(partial, file);
  });
  return { path: file, summary: `${summary} of ${grouped(drawn.rows)}` };
}

/** Whether drawn samples depend on the labels of all samples. */
function readsAllLabels({ task, data }: Recipe, columns: readonly string[]): boolean {
  if (data.labels.length > 0) return false;
  const { target, model } = objectiveCatalog[task];
  if (model === 'classifier') return ['label', 'labels', 'tags'].includes(target);
  return data.format === 'auto' ? columns.includes(data.columns.label ?? 'label') : data.format === 'text_label';
}
