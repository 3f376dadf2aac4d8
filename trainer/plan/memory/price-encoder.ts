/** The memory of the encoder of images, from the exact program that reads the largest view of an image. */

import { objectiveCatalog } from '../../catalog/objectives.ts';
import type { KnownPrograms } from '../../graph/known-programs.ts';
import type { Signature } from '../../graph/program.ts';
import { byteSize, type TensorSpec } from '../../graph/types.ts';
import type { CausalModel } from '../../model/model-spec.ts';
import { encoderOf } from '../../model/vision/open-encoder.ts';
import type { ImageSize, VisionEncoder } from '../../model/vision/vision-encoder.ts';
import { required } from '../../narrow.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import type { ComputesOn } from '../../train/recipe-settings.ts';
import { encoderProgram, viewSignature } from '../../vision/encoder-program.ts';
import type { PlanHeaders, PlannedPass, RunPlan } from '../run-plan.ts';
import { bufferRules, engineMemory, memoryOnGpu, poolTableOf } from './engine-memory.ts';
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

export interface EncoderOptions {
  /** The shapes of all programs that are compiled; the largest if left out. */
  readonly shapes?: readonly number[];
  /** Programs that were compiled for a card. */
  readonly known?: KnownPrograms | undefined;
}

/** Returns the passes that read views of these shapes, of which all have the same variables. */
function encoderPasses(
  vision: VisionEncoder,
  shapes: readonly number[],
): { readonly variables: PlannedPass['variables']; readonly passes: readonly PlannedPass[] } {
  const { signatures, variables } = encoderProgram(vision, shapes);
  const signatureOf = (shape: number): Signature => required(signatures[viewSignature(shape)], 'the signature of a view');
  return { variables, passes: shapes.map(shape => ({ variables, signature: signatureOf(shape) })) };
}

/** Returns the memory for the largest view. */
export function encoderMemory(
  { model, vision }: { readonly model: CausalModel; readonly vision: VisionEncoder },
  on: ComputesOn,
  { shapes = [largestShape(vision)], known }: EncoderOptions = {},
): EncoderMemory {
  const { passes: planned, variables } = encoderPasses(vision, shapes);
  const passes = planned.map(pass => measurePass(on, pass));
  const counted = known && mostCounted(planned, known);
  const mostOf = (bytesOf: (pass: (typeof passes)[number]) => number): number => Math.max(...passes.map(bytesOf));
  const sizes = variables.map(spec => bufferRules(on.engine, { variables }).bytes(spec));
  const weightsBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const activationBytes = counted ?? mostOf(pass => pass.activationBytes);
  const overhead = engineOverheadBytes({
    ...on,
    nodes: passes.reduce((sum, { nodes }) => sum + nodes, engineMemory[on.engine].overhead.nodesOfVariable * variables.length),
    compilerBytes: mostOf(pass => pass.compilerBytes),
    convolutions: passes.reduce((sum, { convolutions }) => sum + convolutions, 0),
    variableBytes: weightsBytes,
    tableBytes: poolTableOf(on, variables.map(byteSize)),
    gradientBytes: 0,
    activationBytes,
    isCounted: counted !== undefined,
    // A GPU computes a view before the next one is uploaded.
    feedBytes: memoryOnGpu(on) ? 0 : mostOf(pass => pass.feedBytes),
    vocabularySize: model.vocabularySize,
  });
  return { weightsBytes, activationBytes, totalBytes: weightsBytes + activationBytes + overhead };
}

/** Returns the bytes that the largest of the passes takes in addition to the variables; undefined if they were not compiled for a card. */
function mostCounted(passes: readonly PlannedPass[], known: KnownPrograms): number | undefined {
  const all = passes.map(pass =>
    known.ofCard && known.mayHave(encoderMark(pass)) ? known.workingBytes(pass.signature, pass.variables, undefined) : undefined,
  );
  return all.reduce((most, bytes) => (most === undefined || bytes === undefined ? undefined : Math.max(most, bytes)), 0);
}

/** Returns a mark that distinguishes most encoders without lowering their programs, as `planMark` does plans. */
export const encoderMark = ({ signature, variables }: PlannedPass): string =>
  JSON.stringify(['encoder', ...[signature.feeds.map(({ attrs }) => attrs.spec), variables].map(bytesOfAll)]);

const bytesOfAll = (specs: readonly TensorSpec[]): number => specs.reduce((sum, spec) => sum + byteSize(spec), 0);

const largestShape = ({ layout, shapeOf }: VisionEncoder): number => Math.max(...LARGEST.flatMap(size => layout(size).views.map(shapeOf)));

/** The model of a run that reads images, with its encoder; undefined if it reads none. */
function seeingModel(
  recipe: Recipe,
  { config, processor }: PlanHeaders,
  { model }: Pick<RunPlan, 'model'>,
): { readonly model: CausalModel; readonly vision: VisionEncoder } | undefined {
  if (model.kind !== 'causal' || !objectiveCatalog[recipe.task].seesImages || processor === undefined) return undefined;
  const vision = encoderOf(model, { config, processor }, recipe.data.image_max_pixels);
  return vision && { model, vision };
}

/** Returns the bytes of one process with the encoder loaded; undefined if the run reads no images. */
export function priceEncoder(
  recipe: Recipe,
  headers: PlanHeaders,
  plan: Pick<RunPlan, 'model' | 'on'>,
  known?: KnownPrograms,
): number | undefined {
  const seeing = seeingModel(recipe, headers, plan);
  return seeing && encoderMemory(seeing, plan.on, { known }).totalBytes;
}

/** Returns the program that reads the largest view; undefined if the run reads no images. */
export function largestView(recipe: Recipe, headers: PlanHeaders, plan: Pick<RunPlan, 'model'>): PlannedPass | undefined {
  const seeing = seeingModel(recipe, headers, plan);
  return seeing && encoderPasses(seeing.vision, [largestShape(seeing.vision)]).passes[0];
}
