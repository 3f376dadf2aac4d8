/** Runs language models that read images on the pictures and texts of a golden folder (`vision.json`). */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { resample } from '../../../trainer/data/image/image-resample.ts';
import type { SampleImage } from '../../../trainer/data/vision/sample-image.ts';
import type { Engine, Session } from '../../../trainer/engine/engine.ts';
import { processorSettings } from '../../../trainer/format/image/processor-config.ts';
import { openDecoder } from '../../../trainer/generate/decoder.ts';
import { Graph } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import { float32Of, type HostArray } from '../../../trainer/graph/types.ts';
import { headLogits } from '../../../trainer/model/layer/loss/head-logits.ts';
import { architectureOf } from '../../../trainer/model/load-model.ts';
import type { CausalModel, ImageInputs, Model } from '../../../trainer/model/model-spec.ts';
import { Tracer } from '../../../trainer/model/tracer.ts';
import { gridPositions } from '../../../trainer/model/vision/grid-positions.ts';
import type {
  ImageLayout,
  ImageSize,
  ImageView,
  PixelScale,
  ViewPixels,
  VisionEncoder,
} from '../../../trainer/model/vision/vision-encoder.ts';
import { visionEncoder } from '../../../trainer/model/vision/vision-encoders.ts';
import type { WeightSource } from '../../../trainer/model/weight-source.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';
import { elementAt, required } from '../../../trainer/narrow.ts';
import type { Golden } from '../../../trainer/verify/golden.ts';
import { type Check, verifyModel, verifyProgram } from '../../../trainer/verify/verify-model.ts';
import { endsOf } from '../../../trainer/vision/image-feeds.ts';
import { promptImages } from '../../../trainer/vision/prompt-images.ts';
import { GOLDEN, readGoldenJson, readRecord } from '../files/read-json.ts';

const tensor = z.object({ shape: z.array(z.number()), data: z.array(z.number()) });
const form = z.object({
  model: z.string(),
  images: z.array(
    z.object({
      width: z.number(),
      height: z.number(),
      /** The text in place of the image's placeholder; left out where it is the placeholder once per vector. */
      text: z.string().optional(),
      vectors: z.number(),
      grid: z.tuple([z.number(), z.number()]).optional(),
      /** The numbers that the encoder reads, without padding and repetitions; the first numbers are those of the last patch. */
      patches: z.object({ shape: z.tuple([z.number(), z.number()]), sum: z.number(), first8: z.array(z.number()) }).optional(),
      /** The bytes of each view, [height, side, 3], where the processor's resizing rounds other values than ours. */
      views: z
        .array(
          z.object({
            side: z.number(),
            height: z.number().optional(),
            bytes: z.string().transform(text => Uint8Array.from(Buffer.from(text, 'base64'))),
          }),
        )
        .optional(),
      /** [sets, vectors, hiddenSize] */
      features: tensor,
    }),
  ),
  texts: z.array(
    z.object({
      ids: z.array(z.number()),
      /** Indices of its images. */
      images: z.array(z.number()),
      /** [3][tokens], for models with positions in two dimensions. */
      positions: z.array(z.array(z.number())).optional(),
      next: z.number().optional(),
      greedy: z.array(z.number()),
    }),
  ),
  /** The results for the first texts together. */
  batch: z.object({
    inputs: z.object({ input_ids: tensor, attention_mask: tensor }),
    labels: tensor,
    loss: z.number(),
    logits: tensor,
    grads: z.record(z.string(), z.object({ l2: z.number(), first4: z.array(z.number()) })),
  }),
});

export type VisionGolden = z.infer<typeof form>;
export type GoldenImage = VisionGolden['images'][number];

export const readVisionGolden = (folder: string): VisionGolden => readGoldenJson(join(folder, 'vision.json'), form);

/** The encoder of a golden folder. */
export function visionOf(folder: string): VisionEncoder {
  const file = (name: string) => readRecord(join(GOLDEN, folder, name));
  const config = file('config.json');
  const architecture = required(architectureOf(config), 'the class of the model');
  const whole = existsSync(join(GOLDEN, folder, 'processor_config.json')) ? file('processor_config.json') : undefined;
  const processor = processorSettings(whole, file('preprocessor_config.json'));
  return required(visionEncoder(architecture, { config, processor }), 'the encoder');
}

interface Bytes extends ImageSize {
  readonly data: Uint8Array;
}

/** The pixels of a view of a picture, whose bytes follow from a formula in the scripts. */
export function pixelsOf(
  { width, height }: GoldenImage,
  { resizes, part }: ImageView,
  { kernel, rescale, mean, std }: PixelScale,
): ViewPixels {
  const byte = (_: unknown, at: number): number => {
    const [x, y, channel] = [Math.floor(at / 3) % width, Math.floor(at / 3 / width), at % 3];
    return (x * 7 + y * 13 + channel * 29 + x * y) % 256;
  };
  let resized: Bytes = { data: Uint8Array.from({ length: width * height * 3 }, byte), width, height };
  for (const to of resizes) resized = { ...to, data: resample({ data: resized.data, from: resized, to, channels: 3, kernel }) };
  const { left, top, ...size } = part ?? { left: 0, top: 0, width: resized.width, height: resized.height };
  const bytes = Uint8Array.from({ length: size.width * size.height * 3 }, (_, at) => {
    const [x, y, channel] = [Math.floor(at / 3) % size.width, Math.floor(at / 3 / size.width), at % 3];
    return resized.data[((top + y) * resized.width + left + x) * 3 + channel] as number;
  });
  return { ...size, values: scaled(bytes, { rescale, mean, std }) };
}

const scaled = (bytes: Uint8Array, { rescale, mean, std }: Pick<PixelScale, 'rescale' | 'mean' | 'std'>): Float32Array =>
  Float32Array.from(bytes, (byte, at) => (byte * rescale - elementAt(mean, at % 3)) / elementAt(std, at % 3));

/** The pixels of a view as the processor gives them; ours if the golden file has none. */
export function goldenPixels(image: GoldenImage, index: number, view: ImageView, scale: PixelScale): ViewPixels {
  const given = image.views?.[index];
  return given
    ? { width: given.side, height: given.height ?? given.side, values: scaled(given.bytes, scale) }
    : pixelsOf(image, view, scale);
}

/** A folder's model with everything that it is run with. */
export interface VisionRun {
  readonly engine: Engine;
  readonly model: CausalModel;
  readonly vision: VisionEncoder;
  readonly weights: WeightSource;
  readonly golden: VisionGolden;
}

/** The vectors of each picture, [sets, vectors, hiddenSize]. */
export async function encodeImages({ engine, model, vision, weights, golden }: VisionRun): Promise<Float32Array[]> {
  const layouts = golden.images.map(image => vision.layout(image));
  const shapes = [...new Set(layouts.flatMap(({ views }) => views.map(vision.shapeOf)))];
  const traced = (shape: number) => {
    const graph = new Graph();
    return { graph, outputs: { vectors: vision.trace(new Tracer({ graph }), shape) }, effects: [] };
  };
  const session = await engine.compile(assemble(Object.fromEntries(shapes.map(shape => [String(shape), traced(shape)]))));
  const own: Model = { ...vision, family: model.family, blocks: 0, hiddenSize: model.hiddenSize };
  await session.load(weightStream(own, weights));
  const found: Float32Array[] = [];
  for (const [i, layout] of layouts.entries()) found.push(await vectorsOf(session, vision, elementAt(golden.images, i), layout));
  await session.dispose();
  return found;
}

async function vectorsOf(session: Session, vision: VisionEncoder, image: GoldenImage, { views }: ImageLayout): Promise<Float32Array> {
  const [sets = 1, , width = 1] = image.features.shape;
  const parts: Float32Array[][] = [];
  for (const [i, view] of views.entries()) {
    const feeds = vision.feeds(view, goldenPixels(image, i, view, vision.scale));
    const all = float32Of(required((await session.run(String(vision.shapeOf(view)), feeds)).vectors, 'the vectors'));
    const stride = all.length / sets;
    parts.push(Array.from({ length: sets }, (_, set) => all.subarray(set * stride, set * stride + view.vectors * width)));
  }
  return Float32Array.from(Array.from({ length: sets }, (_, set) => parts.flatMap(own => Array.from(elementAt(own, set)))).flat());
}

interface Sizes {
  readonly sets: number;
  readonly batch: number;
  readonly tokens: number;
  /** True if the tokens after a text continue it; otherwise, they are padding, which has the position 0. */
  readonly isContinued: boolean;
}

/** The model with feeds for images in its inputs. */
function seeing(model: CausalModel, { sets, batch, tokens }: Sizes): CausalModel {
  const imagesOf = ({ graph }: Tracer): ImageInputs => ({
    vectors: graph.feed('vectors', [sets, batch, tokens, model.hiddenSize]),
    isImage: graph.equal(graph.feed('isImage', [batch, tokens]), 1),
    ...(model.vision?.positions === 'grid' && { grid: graph.feed('grid', [3, batch, tokens], 'int32') }),
    ...(model.vision?.attendsWithin && { ends: graph.feed('ends', [batch, tokens], 'int32') }),
  });
  return { ...model, hidden: (tracer, inputs) => model.hidden(tracer, { ...inputs, images: imagesOf(tracer) }) };
}

/** The feeds of the first `batch` texts, of which each may have become longer. */
function feedsOfImages(
  { model, golden }: VisionRun,
  vectors: readonly Float32Array[],
  { sets, batch, tokens, isContinued }: Sizes,
): Record<string, HostArray> {
  const { hiddenSize: width } = model;
  const { imageToken, positions, attendsWithin } = required(model.vision, 'how images enter the text');
  const all = new Float32Array(sets * batch * tokens * width);
  const isImage = new Float32Array(batch * tokens);
  const groups = new Int32Array(batch * tokens);
  const grid = new Int32Array(3 * batch * tokens);
  golden.texts.slice(0, batch).forEach(({ ids, images }, text) => {
    const places = ids.flatMap((id, at) => (id === imageToken ? [at] : []));
    images.forEach((image, order) => {
      const own = elementAt(vectors, image);
      const count = own.length / sets / width;
      places.splice(0, count).forEach((place, i) => {
        const at = text * tokens + place;
        isImage[at] = 1;
        groups[at] = order + 1;
        for (let set = 0; set < sets; set++)
          all.set(own.subarray((set * count + i) * width, (set * count + i + 1) * width), (set * batch * tokens + at) * width);
      });
    });
    if (positions !== 'grid') return;
    const found = gridPositions(ids, imageToken, gridsOf(golden, images));
    for (let token = 0; token < tokens; token++)
      for (let axis = 0; axis < 3; axis++)
        grid[(axis * batch + text) * tokens + token] =
          token < ids.length ? (found.positions[axis * ids.length + token] as number) : isContinued ? found.next + token - ids.length : 0;
  });
  return { vectors: all, isImage, ...(positions === 'grid' && { grid }), ...(attendsWithin && { ends: endsOf(groups, tokens) }) };
}

/** The grids of a text's images. */
export const gridsOf = (golden: VisionGolden, images: readonly number[]): { rows: number; columns: number }[] =>
  images.map(image => {
    const [rows, columns] = required(elementAt(golden.images, image).grid, 'the grid of the image');
    return { rows, columns };
  });

/** Compares logits, loss and gradients of the first texts together. */
export async function checkBatch(run: VisionRun, vectors: readonly Float32Array[]): Promise<Check[]> {
  const { engine, model, weights, golden } = run;
  const { shape } = golden.batch.inputs.input_ids;
  const sizes = { sets: (model.vision?.deepstack ?? 0) + 1, batch: elementAt(shape, 0), tokens: elementAt(shape, 1), isContinued: false };
  const expected: Golden = { model: golden.model, ...golden.batch };
  const own = seeing(model, sizes);
  const session = await engine.compile(verifyProgram(own, expected));
  await session.load(weightStream(model, weights));
  const images = feedsOfImages(run, vectors, sizes);
  const fed = { run: (name: string, feeds: Record<string, HostArray>) => session.run(name, { ...feeds, ...images }) };
  const checks = await verifyModel(fed, own, expected);
  await session.dispose();
  return checks;
}

/** The most probable tokens after each text. */
export async function greedyTokens(run: VisionRun, vectors: readonly Float32Array[]): Promise<number[][]> {
  const { engine, model, weights, golden } = run;
  const steps = elementAt(golden.texts, 0).greedy.length;
  const tokens = Math.max(...golden.texts.map(({ ids }) => ids.length)) + steps;
  const sizes = { sets: (model.vision?.deepstack ?? 0) + 1, batch: golden.texts.length, tokens, isContinued: true };
  const graph = new Graph();
  const inputs = { ids: graph.feed('ids', [sizes.batch, tokens], 'int32'), mask: { kind: 'causal' } as const };
  const hidden = seeing(model, sizes).hidden(new Tracer({ graph }), inputs);
  const logits = headLogits(graph, model, hidden, { weight: graph.read({ ...model.head.weight, dtype: 'float32' }) });
  const session = await engine.compile(assemble({ next: { graph, outputs: { best: graph.argmax(logits, -1) }, effects: [] } }));
  await session.load(weightStream(model, weights));
  const images = feedsOfImages(run, vectors, sizes);
  const written = golden.texts.map(({ ids }) => [...ids]);
  for (let step = 0; step < steps; step++) {
    const ids = Int32Array.from(written.flatMap(own => [...own, ...Array<number>(tokens - own.length).fill(0)]));
    const best = required((await session.run('next', { ids, ...images })).best, 'the best tokens');
    written.forEach((own, text) => void own.push(elementAt(Array.from(best), text * tokens + own.length - 1)));
  }
  await session.dispose();
  return written.map((own, text) => own.slice(elementAt(golden.texts, text).ids.length));
}

/** The most probable tokens after each text, read in stretches and continued with a cache. */
export async function cachedTokens({ engine, model, weights, golden }: VisionRun, vectors: readonly Float32Array[]): Promise<number[][]> {
  const steps = elementAt(golden.texts, 0).greedy.length;
  const tokens = Math.max(...golden.texts.map(({ ids }) => ids.length)) + steps;
  const decoder = await openDecoder({ engine, model, weights, tokens, images: true });
  const likeliest = (logits: Float32Array): number => logits.indexOf(Math.max(...logits));
  const written: number[][] = [];
  for (const { ids, images } of golden.texts) {
    const own = images.map((image): SampleImage => {
      const { width, height, vectors: count, grid } = elementAt(golden.images, image);
      const [rows, columns] = grid ?? [1, count];
      return { path: '', key: String(image), width, height, text: '', vectors: count, grid: { rows, columns } };
    });
    const read = async ({ key }: SampleImage): Promise<Float32Array> => elementAt(vectors, Number(key));
    const answer = [likeliest(await decoder.read(ids, 0, await promptImages(ids, own, { model, vectors: { read } })))];
    while (answer.length < steps) answer.push(likeliest(await decoder.next(elementAt(answer, answer.length - 1))));
    written.push(answer);
  }
  await decoder.dispose();
  return written;
}
