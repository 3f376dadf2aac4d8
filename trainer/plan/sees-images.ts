/** Whether a run reads images, from its model and the first samples of its data on this machine. */
import path from 'node:path';
import { objectiveCatalog } from '../catalog/objectives.ts';
import { dataBringsImages } from '../data/vision/data-brings-images.ts';
import { isDataSetName } from '../files/data-set-name.ts';
import { findDataSet, partOfDataSet } from '../hub/hub-dataset.ts';
import type { ConfigJson } from '../model/config-json.ts';
import { loadModel } from '../model/load-model.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';

export interface DataPlaces {
  /** The folder of relative paths. */
  readonly baseDir: string;
  /** The folder of downloaded data sets. */
  readonly cacheDir: string;
}

/** False for data that is not on this machine or cannot be read: no pass for images is counted then. */
export async function seesImages({ data, task }: Recipe, config: ConfigJson, { baseDir, cacheDir }: DataPlaces): Promise<boolean> {
  if (objectiveCatalog[task].seesImages !== true) return false;
  const model = loadModel(config);
  if (model.kind !== 'causal' || model.vision === undefined) return false;
  const pathsOf = async (written: string, part: 'train' | 'eval'): Promise<readonly string[]> =>
    isDataSetName(written, baseDir)
      ? ((await findDataSet(cacheDir, partOfDataSet(written, data, part))) ?? [])
      : [path.resolve(baseDir, written)];
  const named = [...data.train.map(written => pathsOf(written, 'train')), ...data.eval.map(written => pathsOf(written, 'eval'))];
  return Promise.all(named)
    .then(paths => dataBringsImages(paths.flat(), data.columns))
    .catch(() => false);
}
