/** The memory of the encoder of images, from the exact program that reads the largest view of an image. */

import { objectiveCatalog } from '../../catalog/objectives.ts';
import { byteSize } from '../../graph/types.ts';
import type { CausalModel } from '../../model/model-spec.ts';
import { encoderOf } from '../../model/vision/open-encoder.ts';
import type { ImageSize, VisionEncoder } from '../../model/vision/vision-encoder.ts';
import { required } from '../../narrow.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import type { ComputesOn } from '../../train/recipe-settings.ts';
import { encoderProgram, viewSignature } from '../../vision/encoder-program.ts';
import type { PlanHeaders, RunPlan } from '../run-plan.ts';
import { bufferRules, engineMemory, poolTableOf } from './engine-memory.ts';
import { engineOverheadBytes } from './engine-overhead.ts';
import { measurePass } from './traced-passes.ts';

/** Images that are larger than any limit, of several ratios: the views of one of them are the largest. */
const LARGEST: readonly ImageSize[] = [
  { width: 8192, height: 8192 },
  { width: 8192, height: 4096 },
  { width: 4096, height: 8192 },
];

export interface EncoderMemory {
  /** The weights, which stay loaded for the images of later prompts. */
  readonly weightsBytes: number;
  /** Temporaries while a view is read. */
  readonly activationBytes: number;
  /** Everything that a process takes while only the encoder is loaded. */
  readonly totalBytes: number;
}

/** Returns the memory for the largest view. @param shapes of all programs that are compiled; by default, the largest */
export function encoderMemory(
  { model, vision }: { readonly model: CausalModel; readonly vision: VisionEncoder },
  on: ComputesOn,
  shapes: readonly number[] = [largestShape(vision)],
): EncoderMemory {
  const { signatures, variables } = encoderProgram(vision, shapes);
  const passes = shapes.map(shape =>
    measurePass(on, { variables, signature: required(signatures[viewSignature(shape)], 'the signature of a view') }),
  );
  const mostOf = (bytesOf: (pass: (typeof passes)[number]) => number): number => Math.max(...passes.map(bytesOf));
  const sizes = variables.map(spec => bufferRules(on.engine, { variables }).bytes(spec));
  const weightsBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const activationBytes = mostOf(pass => pass.activationBytes);
  const overhead = engineOverheadBytes({
    ...on,
    nodes: passes.reduce((sum, { nodes }) => sum + nodes, engineMemory[on.engine].overhead.nodesOfVariable * variables.length),
    compilerBytes: mostOf(pass => pass.compilerBytes),
    convolutions: passes.reduce((sum, { convolutions }) => sum + convolutions, 0),
    variableBytes: weightsBytes,
    tableBytes: poolTableOf(on, variables.map(byteSize)),
    gradientBytes: 0,
    activationBytes,
    isCounted: false,
    feedBytes: mostOf(pass => pass.feedBytes),
    vocabularySize: model.vocabularySize,
  });
  return { weightsBytes, activationBytes, totalBytes: weightsBytes + activationBytes + overhead };
}

const largestShape = ({ layout, shapeOf }: VisionEncoder): number => Math.max(...LARGEST.flatMap(size => layout(size).views.map(shapeOf)));

/** Returns the bytes of one process with the encoder loaded; undefined if the run reads no images. */
export function priceEncoder(
  recipe: Recipe,
  { config, processor }: PlanHeaders,
  { model, on }: Pick<RunPlan, 'model' | 'on'>,
): number | undefined {
  if (model.kind !== 'causal' || !objectiveCatalog[recipe.task].seesImages || processor === undefined) return undefined;
  const vision = encoderOf(model, { config, processor }, recipe.data.image_max_pixels);
  return vision && encoderMemory({ model, vision }, on).totalBytes;
}
