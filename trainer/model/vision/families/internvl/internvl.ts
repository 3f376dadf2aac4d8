/**
 * The encoder of InternVL (Chen et al. 2024; InternVL3: Zhu et al. 2025): a vision transformer sees square tiles of an image, and the whole
 * image in the size of a tile after them. Squares of neighboring patches become vectors.
 */

import type { Node } from '../../../../graph/graph.ts';
import { lastNorm, type Tower, towerOf, towerStream } from '../../../family/image/tower.ts';
import { activationOf } from '../../../layer/activation.ts';
import { type BiasedSpec, layerNormSpec, linearSpec, type ModuleSpec, parametersOf, underOtherNames } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import { internVlMmproj } from '../../mmproj/internvl-mmproj.ts';
import { mmprojSizes } from '../../mmproj/mmproj.ts';
import { nearestGrid, tilesOf } from '../../tile-grid.ts';
import type { ImageLayout, ImageSize, ImageView, VisionEncoder, VisionFiles } from '../../vision-encoder.ts';
import { type InternVlEyes, internVlEyes } from './internvl-config.ts';

const [START, IMAGE, END] = ['<img>', '<IMG_CONTEXT>', '</img>'];
const PROJECTOR = 'model.multi_modal_projector.';
/** The epsilon of the projector's norm. */
const EPSILON = 1e-5;

interface Parts {
  readonly eyes: InternVlEyes;
  readonly tower: Tower;
  readonly norm: BiasedSpec;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
}

/** Older files have the names without the first part. */
const inFiles = <Spec extends ModuleSpec>(module: Spec): Spec => underOtherNames(module, [module.name.slice('model.'.length)]);

function partsOf(eyes: InternVlEyes): Parts {
  const { names, hiddenSize } = eyes.tower;
  const wide = hiddenSize * eyes.joined ** 2;
  const linear = (name: string, width: number): ModuleSpec =>
    inFiles(linearSpec(PROJECTOR + name, { part: 'mlp', layer: -1 }, eyes.outputSize, width));
  return {
    eyes,
    tower: towerOf({ ...eyes.tower, names: { ...names, inFiles } }),
    norm: inFiles(layerNormSpec(`${PROJECTOR}layer_norm`, -1, wide)),
    up: linear('linear_1', wide),
    down: linear('linear_2', eyes.outputSize),
  };
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function internVl(files: VisionFiles): VisionEncoder {
  const eyes = internVlEyes(files);
  const parts = partsOf(eyes);
  const { tower, norm, up, down } = parts;
  const ofTower = tower.modules.filter(module => module !== tower.finalNorm || eyes.isNormed);
  const modules = [...ofTower, norm, up, down];
  const parameters = parametersOf(modules);
  const { tile, joined, counts, scale, outputSize, imageSize, patch } = eyes;
  const { hasRmsNorms, innerEpsilon } = eyes.tower;
  const hasOtherNorms = eyes.isNormed || hasRmsNorms === true || innerEpsilon !== undefined;
  const sizes = { ...mmprojSizes(eyes.tower), imageSize, patch, outputSize };
  return {
    parameters,
    modules,
    scale,
    placeholder: IMAGE,
    layout: (image, maxPixels) => layoutOf(image, eyes, maxPixels),
    shapeOf: () => eyes.vectors,
    trace: tracer => trace(tracer, parts),
    feeds: (_, { values }) => ({ pixels: values }),
    mmproj: () => internVlMmproj({ parameters, sizes, hasOtherNorms, tile, joined, counts, scale }),
  };
}

/** @param maxPixels limits the tiles together */
function layoutOf(image: ImageSize, { tile, vectors, counts }: InternVlEyes, maxPixels = Number.POSITIVE_INFINITY): ImageLayout {
  const most = Math.max(1, Math.min(counts.most, Math.floor(maxPixels / tile ** 2)));
  const tiles = tilesOf(nearestGrid(image, tile, { least: Math.min(counts.least, most), most }), tile, vectors);
  const whole: ImageView = { resizes: [{ width: tile, height: tile }], vectors };
  const views = tiles.length === 1 ? [whole] : [...tiles, whole];
  return { text: `${START}${IMAGE.repeat(vectors * views.length)}${END}`, views };
}

/** [1, vectors, outputSize] */
function trace(tracer: Tracer, { eyes, tower, norm, up, down }: Parts): Node {
  const { graph } = tracer;
  const { tile, joined, vectors, outputSize, isNormed } = eyes;
  const { hiddenSize, channels } = tower.config;
  const stream = towerStream(tracer, graph.feed('pixels', [1, tile, tile, channels]), tower);
  const states = isNormed ? lastNorm(tracer, stream, tower) : stream;
  const side = Math.sqrt(vectors);
  // Without the class token.
  const patches = graph.reshape(graph.sliceAxis(states, 1, 1, vectors * joined ** 2), [side, joined, side, joined, hiddenSize]);
  const squares = graph.reshape(graph.transpose(patches, [0, 2, 1, 3, 4]), [vectors, joined ** 2 * hiddenSize]);
  const inner = activationOf(eyes.activation)(graph, tracer.linear(up, tracer.layerNorm(norm, squares, EPSILON)));
  return graph.reshape(tracer.linear(down, inner), [1, vectors, outputSize]);
}
