/** Lets a model that reads images see those of prompts. */
import type { SampleImage } from '../../data/vision/sample-image.ts';
import type { Engine } from '../../engine/engine.ts';
import type { Sight } from '../../generate/seen-prompt.ts';
import type { ModelFolder } from '../../hub/open-model.ts';
import type { JobScope } from '../../job/job-scope.ts';
import { openVision } from '../../job/open-vision.ts';
import { turns } from '../../machine/turns.ts';
import { loadModel } from '../../model/load-model.ts';
import { encoderMemory } from '../../plan/memory/price-encoder.ts';
import { encodeImages, type ImageVectors, VisionSession } from '../../vision/encode-images.ts';
import { imageReadingOf } from '../../vision/image-reading.ts';
import { runRecipes } from './run-recipes.ts';

interface SightParams {
  readonly engine: Engine;
  readonly folder: ModelFolder;
  /** Opens the folder again: images may come after it is closed. */
  readonly withFolder: <T>(use: (folder: ModelFolder) => Promise<T>) => Promise<T>;
  /** Folders that may be runs: images have the size that the first run has trained on. */
  readonly runs: readonly (string | undefined)[];
}

/** @returns undefined for a model that reads no images @throws as `openVision` does */
export async function sightOf(scope: JobScope, { engine, folder, withFolder, runs }: SightParams): Promise<Sight | undefined> {
  const model = loadModel(folder.config);
  if (model.kind !== 'causal') return undefined;
  const vision = await openVision(folder, model, await trainedPixels(runs));
  const reading = imageReadingOf({ model, vision }, scope.context.cacheDir);
  if (!vision || !reading) return undefined;
  const session = new VisionSession();
  const inTurn = turns();
  const encode = (images: readonly SampleImage[]): Promise<ImageVectors> =>
    withFolder(async opened => {
      const fingerprint = await opened.weights.fingerprint();
      return encodeImages(scope, { engine, model, vision, folder: opened, fingerprint }, images, session);
    });
  const { name, device, gpu } = engine.description;
  let encoderBytes: number | undefined;
  return {
    reading,
    // Traces the encoder, which a prompt without images does not need.
    get encoderBytes() {
      if (encoderBytes === undefined) {
        const { weightsBytes, activationBytes } = encoderMemory({ model, vision }, { engine: name, device, gpu });
        encoderBytes = weightsBytes + activationBytes;
      }
      return encoderBytes;
    },
    isLoaded: () => session.isLoaded,
    // Prompts that come together share one encoder.
    encode: images => inTurn(() => encode(images)),
    dispose: () => session.dispose(),
  };
}

async function trainedPixels(runs: SightParams['runs']): Promise<number | undefined> {
  for await (const { recipe } of runRecipes(runs)) return recipe.data.image_max_pixels;
  return undefined;
}
