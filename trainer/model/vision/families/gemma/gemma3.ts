/**
 * The encoder of Gemma 3 (Gemma Team 2025): SigLIP's tower sees the image in one size, whatever its ratio of sides. The means of squares of
 * patches become vectors.
 */

import { z } from 'zod';
import type { Node } from '../../../../graph/graph.ts';
import { computed, contradiction, type KeyTable, readConfig, refuse, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { gemma3ImageKeys } from '../../../family/decoder/keys/image-text-keys.ts';
import { textPart } from '../../../family/decoder/text-part.ts';
import { gemma3TowerKeys, siglipTower, squareProblems } from '../../../family/image/siglip-config.ts';
import { lastNorm, type Tower, towerOf, towerStream } from '../../../family/image/tower.ts';
import { siglipTowerNames } from '../../../family/image/vit-names.ts';
import { type ModuleSpec, normSpec, parameterSpec, parametersOf, underOtherNames } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import { mmprojSizes } from '../../mmproj/mmproj.ts';
import { gemma3Mmproj } from '../../mmproj/siglip-mmproj.ts';
import { PROCESSOR_FILE, pixelScale, processorKeys } from '../../processor-keys.ts';
import { readTower } from '../../read-tower.ts';
import type { VisionEncoder, VisionFiles } from '../../vision-encoder.ts';

const side = z.number().int().positive().max(8192);

export const gemma3ProcessorKeys = {
  ...processorKeys({ mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], resample: 2 }),
  size: computed(z.object({ height: side, width: side }).default({ height: 224, width: 224 })),
  image_seq_length: computed(z.number().int().positive().optional()),
  ...refusedUnless([false], 'do_pan_and_scan'),
  ...withoutEffect(
    'is of pan and scan, which is off',
    ...(['pan_and_scan_min_crop_size', 'pan_and_scan_max_num_crops', 'pan_and_scan_min_ratio_to_activate'] as const),
  ),
  ...withoutEffect('names the class of the processor', 'image_processor_type'),
} as const satisfies KeyTable;

const CLASS = 'Gemma3ForConditionalGeneration';
const [PLACEHOLDER, IMAGE, END] = ['<start_of_image>', '<image_soft_token>', '<end_of_image>'];
const TOWER = 'model.vision_tower.';
/** The names of the tower in files of other versions. */
const OTHER_TOWERS = ['vision_tower.vision_model.', 'vision_tower.', 'model.vision_tower.vision_model.'];
const PROJECTOR = 'model.multi_modal_projector.';

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function gemma3({ config, processor }: VisionFiles): VisionEncoder {
  const { values: whole, problems } = readConfig(gemma3ImageKeys, CLASS, config);
  const { values: eyes, problems: ofEyes } = readTower(gemma3TowerKeys, CLASS, whole);
  const { values: seen, problems: ofFile } = readConfig(gemma3ProcessorKeys, CLASS, processor, PROCESSOR_FILE);
  const [pixels] = eyes.image_size;
  const vectors = whole.mm_tokens_per_image;
  const patches = Math.floor(pixels / eyes.patch_size[0]);
  const pooled = patches / Math.sqrt(vectors);
  const uneven = Number.isInteger(pooled)
    ? []
    : [
        contradiction(
          'mm_tokens_per_image',
          `${patches} × ${patches} patches cannot become mm_tokens_per_image ${vectors} by means of squares`,
        ),
      ];
  const { height, width } = seen.size;
  const others =
    height === pixels && width === pixels
      ? []
      : [contradiction('size', `the tower sees ${pixels} × ${pixels} pixels, and size is ${width} × ${height}`)];
  const count = seen.image_seq_length ?? vectors;
  const miscounted =
    count === vectors ? [] : [contradiction('image_seq_length', `image_seq_length is ${count}, and mm_tokens_per_image ${vectors}`)];
  refuse([...problems, ...ofEyes, ...squareProblems(eyes), ...uneven], CLASS);
  refuse([...ofFile, ...others, ...miscounted], CLASS, PROCESSOR_FILE);
  const inFiles = <Spec extends ModuleSpec>(module: Spec): Spec =>
    underOtherNames(
      module,
      OTHER_TOWERS.map(tower => tower + module.name.slice(TOWER.length)),
    );
  const ofProjector = (module: ModuleSpec): ModuleSpec => underOtherNames(module, [module.name.slice('model.'.length)]);
  const tower = towerOf(siglipTower(eyes, { ...siglipTowerNames(TOWER), inFiles }));
  const norm = ofProjector(normSpec(`${PROJECTOR}mm_soft_emb_norm`, -1, eyes.hidden_size, 1));
  const { hiddenSize } = textPart(CLASS, config);
  const projection = ofProjector(parameterSpec(`${PROJECTOR}mm_input_projection_weight`, [eyes.hidden_size, hiddenSize]));
  const modules = [...tower.modules, norm, projection];
  const view = { resizes: [{ width: pixels, height: pixels }], vectors };
  const parameters = parametersOf(modules);
  const scale = pixelScale(seen);
  const sizes = { ...mmprojSizes(tower.config), imageSize: pixels, patch: eyes.patch_size[0], outputSize: hiddenSize };
  return {
    parameters,
    modules,
    scale,
    placeholder: PLACEHOLDER,
    layout: () => ({ text: `\n\n${PLACEHOLDER}${IMAGE.repeat(vectors)}${END}\n\n`, views: [view] }),
    shapeOf: () => vectors,
    trace: tracer => trace(tracer, { tower, norm, projection, pooled }),
    feeds: (_, { values }) => ({ pixels: values }),
    mmproj: () => gemma3Mmproj({ tower: TOWER, parameters, sizes, scale }, { pooled, projector: PROJECTOR }),
  };
}

interface Parts {
  readonly tower: Tower;
  readonly norm: ModuleSpec;
  /** Its weight is [features of the tower, hiddenSize]. */
  readonly projection: ModuleSpec;
  /** The side of the squares of patches that become a vector. */
  readonly pooled: number;
}

function trace(tracer: Tracer, { tower, norm, projection, pooled }: Parts): Node {
  const { graph } = tracer;
  const { hiddenSize, epsilon, image, channels } = tower.config;
  const states = lastNorm(tracer, towerStream(tracer, graph.feed('pixels', [1, ...image, channels]), tower), tower);
  const squares = Math.sqrt(states.shape[1] as number) / pooled;
  const means = graph.mean(graph.reshape(states, [squares, pooled, squares, pooled, hiddenSize]), [1, 3]);
  const normed = tracer.rmsNorm(norm, graph.reshape(means, [squares * squares, hiddenSize]), epsilon);
  const vectors = graph.matmul(normed, tracer.parameter(projection.weight));
  return graph.reshape(vectors, [1, squares * squares, vectors.shape[1] as number]);
}
