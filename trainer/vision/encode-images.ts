/**
 * Computes the vectors of images before training. The encoder is frozen, so each image is read once, whatever the number of epochs, and the
 * encoder is not in memory while the model trains.
 */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { untouched } from '../adapter/apply-adapter.ts';
import type { SampleImage } from '../data/vision/sample-image.ts';
import { viewsOf } from '../data/vision/view-pixels.ts';
import type { Engine, Session } from '../engine/engine.ts';
import { pruneFolder } from '../files/bounded-folder.ts';
import { removeHalfWritten } from '../files/durable-file.ts';
import { visionFolder } from '../files/kept-image.ts';
import { float32Of } from '../graph/types.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import type { JobScope } from '../job/job-scope.ts';
import { residentBytes } from '../job/memory-meter.ts';
import { requireRoom } from '../job/require-room.ts';
import type { ImageLayout } from '../model/vision/vision-encoder.ts';
import { elementAt, required } from '../narrow.ts';
import { byteSize, counted } from '../protocol/text/format.ts';
import { RunError } from '../run-error.ts';
import { loadVariables, storedWeights } from '../train/variables.ts';
import { encoderModel, encoderProgram, viewSignature } from './encoder-program.ts';
import type { SeeingModel } from './image-reading.ts';
import { hasVectors, OWN_FILE, readVectors, vectorFile, writeVectors } from './vector-files.ts';

/** Size of the cache beyond which the least recently used files are deleted. */
const MAX_BYTES = 50e9;

/** A model with its files and an engine. */
export interface EncodingBase extends SeeingModel {
  readonly engine: Engine;
  readonly folder: Pick<ModelFolder, 'weights'>;
  readonly fingerprint: string;
}

/** The vectors of the images that were encoded. */
export interface ImageVectors {
  /** Resident memory of the process before the encoder was loaded. */
  readonly residentBytes?: number;
  /** Returns [sets, vectors, hiddenSize], one set more than `VisionInput.deepstack`. */
  readonly read: (image: SampleImage) => Promise<Float32Array>;
}

interface Planned {
  readonly image: SampleImage;
  readonly layout: ImageLayout;
  readonly file: string;
}

/**
 * Takes the vectors of images from the cache, and computes those that it lacks.
 * @param kept the encoder, if it stays loaded for later images
 * @throws RunError 'stopped', 'disk-full'; DataError for an image that does not decode
 */
export async function encodeImages(
  scope: JobScope,
  base: EncodingBase,
  images: Iterable<SampleImage>,
  kept?: VisionSession,
): Promise<ImageVectors> {
  const folder = visionFolder(scope.context.cacheDir);
  const place = { folder, fingerprint: base.fingerprint, engine: base.engine.description.name };
  const planned = new Map<string, Planned>();
  for (const image of images) {
    if (planned.has(nameOf(image))) continue;
    const layout = base.vision.layout(image);
    planned.set(nameOf(image), { image, layout, file: vectorFile(place, image, layout) });
  }
  if (planned.size === 0) return { read: () => Promise.reject(new RangeError('no image was encoded')) };
  await mkdir(folder, { recursive: true });
  // A server cleans the folder with its first image: both steps look at every file.
  const cleans = kept?.isLoaded !== true;
  if (cleans) await removeHalfWritten(folder, name => OWN_FILE.test(name));
  const missing: Planned[] = [];
  for (const one of planned.values()) if (!(await hasVectors(one.file, shapeOf(base, one.image)))) missing.push(one);
  const resident = residentBytes();
  if (missing.length > 0) {
    await compute(scope, base, missing, kept);
    // The vectors of this run stay, however large they are.
    if (cleans) await pruneFolder(folder, { own: OWN_FILE, maxBytes: Math.max(MAX_BYTES, bytesOf(base, [...planned.values()])) });
  }
  return { residentBytes: resident, read: image => readKept(required(planned.get(nameOf(image)), 'the vectors of an image')) };
}

/** @throws RunError 'disk-error' if the file is gone, as when someone has emptied the cache during a run */
async function readKept({ file, image }: Planned): Promise<Float32Array> {
  try {
    return await readVectors(file);
  } catch (error) {
    if (existsSync(file)) throw error;
    const problem = `the vectors of ${image.path} are not in the cache any more (${file})`;
    throw new RunError('disk-error', problem, 'They are computed again when the run continues');
  }
}

const bytesOf = (base: SeeingModel, planned: readonly Planned[]): number =>
  planned.reduce((sum, { image }) => sum + 4 * shapeOf(base, image).reduce((product, size) => product * size, 1), 0);

/** Images of one content have one size, unless one of them has another rotation. */
const nameOf = ({ key, width, height }: SampleImage): string => `${key}:${width}x${height}`;

const shapeOf = ({ model }: SeeingModel, { vectors }: SampleImage): readonly [number, number, number] => [
  (model.vision?.deepstack ?? 0) + 1,
  vectors,
  model.hiddenSize,
];

async function compute(scope: JobScope, base: EncodingBase, all: readonly Planned[], kept: VisionSession | undefined): Promise<void> {
  const { job, context, ranks } = scope;
  const bytes = bytesOf(base, all);
  await requireRoom(visionFolder(context.cacheDir), {
    bytes,
    what: 'the vectors of the images',
    advice: 'Use fewer or smaller images (data.image_max_pixels), or make room',
  });
  job.phase('images', `reading ${counted(all.length, 'image')}: their vectors take ${byteSize(bytes)} in the cache`);
  const session = kept ?? new VisionSession();
  try {
    await session.prepare(base, all);
    const report = job.progress('images', all.length, 'images');
    // Each process of a run begins at another image, and finds what others have computed.
    const begin = ranks ? Math.floor((ranks.parts.own * all.length) / ranks.parts.count) : 0;
    for (let i = 0; i < all.length; i++) {
      job.checkStop();
      const one = elementAt(all, (begin + i) % all.length);
      const shape = shapeOf(base, one.image);
      if (!(ranks && (await hasVectors(one.file, shape)))) await writeVectors(one.file, await session.vectors(base, one), shape);
      report(i + 1);
    }
  } finally {
    if (!kept) await session.dispose();
  }
}

/** An encoder in an engine. It may stay there for the images of later prompts. */
export class VisionSession {
  private session: Session | undefined;
  private shapes: readonly number[] = [];

  /** True once an image was read. */
  get isLoaded(): boolean {
    return this.session !== undefined;
  }

  /** Loads the encoder, with programs for all shapes of these images and of those before. */
  async prepare({ engine, folder, ...base }: EncodingBase, planned: readonly Pick<Planned, 'layout'>[]): Promise<void> {
    const wanted = planned.flatMap(({ layout }) => layout.views.map(base.vision.shapeOf));
    const shapes = [...new Set([...this.shapes, ...wanted])].sort((a, b) => a - b);
    if (this.session && shapes.length === this.shapes.length) return;
    await this.dispose();
    const session = await engine.compile(encoderProgram(base.vision, shapes));
    try {
      await loadVariables(session, { model: storedWeights(encoderModel(base), folder.weights, untouched), attachment: untouched });
    } catch (error) {
      await session.dispose();
      throw error;
    }
    this.session = session;
    this.shapes = shapes;
  }

  /** [sets, vectors, hiddenSize] of all views of an image together. @throws DataError for an image that does not decode */
  async vectors(base: SeeingModel, { image, layout }: Pick<Planned, 'image' | 'layout'>): Promise<Float32Array> {
    const { vision } = base;
    const session = required(this.session, 'an encoder that was prepared');
    const [sets, vectors, width] = shapeOf(base, image);
    const all = new Float32Array(sets * vectors * width);
    let [place, at] = [0, 0];
    for await (const pixels of viewsOf(image, layout.views, vision.scale)) {
      const view = elementAt(layout.views, place++);
      const outputs = await session.run(viewSignature(vision.shapeOf(view)), vision.feeds(view, pixels));
      const found = float32Of(required(outputs.vectors, 'the vectors of the image'));
      const stride = found.length / sets;
      for (let set = 0; set < sets; set++)
        all.set(found.subarray(set * stride, set * stride + view.vectors * width), (set * vectors + at) * width);
      at += view.vectors;
    }
    return all;
  }

  async dispose(): Promise<void> {
    await this.session?.dispose();
    this.session = undefined;
  }
}
