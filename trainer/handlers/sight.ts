/** Lets a model that reads images see those of prompts. */
import type { Engine } from '../engine/engine.ts';
import type { Sight } from '../generate/seen-prompt.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import type { JobScope } from '../job/job-scope.ts';
import { openVision } from '../job/open-vision.ts';
import { loadModel } from '../model/load-model.ts';
import { encodeImages } from '../vision/encode-images.ts';
import { imageReadingOf } from '../vision/image-reading.ts';

interface SightParams {
  readonly engine: Engine;
  readonly folder: ModelFolder;
  /** Opens the folder again: images may come after it is closed. */
  readonly withFolder: <T>(use: (folder: ModelFolder) => Promise<T>) => Promise<T>;
}

/** @returns undefined for a model that reads no images @throws as `openVision` does */
export async function sightOf(scope: JobScope, { engine, folder, withFolder }: SightParams): Promise<Sight | undefined> {
  const model = loadModel(folder.config);
  if (model.kind !== 'causal') return undefined;
  const vision = await openVision(folder, model);
  const reading = imageReadingOf({ model, vision }, scope.context.cacheDir);
  if (!vision || !reading) return undefined;
  return {
    reading,
    encode: images =>
      withFolder(async opened =>
        encodeImages(scope, { engine, model, vision, folder: opened, fingerprint: await opened.weights.fingerprint() }, images),
      ),
  };
}
