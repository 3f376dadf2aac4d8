/**
 * Checks that ONNX Runtime computes the same as our engine, with inputs of several batch sizes and lengths, comparing every output element.
 */

import { untouched } from '../../adapter/apply-adapter.ts';
import { type Engine, EngineError } from '../../engine/engine.ts';
import { elementCount, float32Of, type HostArray } from '../../graph/types.ts';
import type { ClassifierShape } from '../../model/classifier-batch.ts';
import type { ClassifierInput, ClassifierModel } from '../../model/model-spec.ts';
import { valueFor } from '../../narrow.ts';
import { type OnnxRuntime, OnnxRuntimeError, openOnnxRuntime, type RuntimeTensor } from '../../onnxruntime/onnxruntime.ts';
import { hasOnnxRuntime, INSTALL_ONNX_RUNTIME, onnxRuntimeName } from '../../onnxruntime/onnxruntime-packages.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { createRandom } from '../../random.ts';
import { loadVariables, storedWeights } from '../../train/variables.ts';
import type { CrossCheck, ReopenedExport } from '../artifact.ts';
import { ExportError } from '../export-error.ts';
import { compareLogits } from '../smoke-test.ts';
import { inputName } from './lower.ts';
import { forwardProgram, PASS } from './trace.ts';

/** Number of threads for ONNX Runtime: the inputs are few and short. */
const THREADS = 2;

/** Numbers of texts and of tokens; at the last length, our engine computes attention in chunks. */
const TEXT_SHAPES = [
  { batch: 1, tokens: 6 },
  { batch: 3, tokens: 33 },
  { batch: 2, tokens: 150 },
] as const;
const IMAGE_BATCHES = [1, 3] as const;
const SEED = 42;

export interface RuntimeCheckParams {
  readonly path: string;
  readonly model: ClassifierModel;
  readonly exported: ReopenedExport;
  readonly engine: Engine;
  readonly cacheDir: string | undefined;
}

/** @throws ExportError with the largest difference, or with ONNX Runtime's own message if it cannot run the file */
export async function compareWithOnnxRuntime(params: RuntimeCheckParams): Promise<CrossCheck | { readonly missing: string }> {
  const { cacheDir, path, model, exported, engine } = params;
  if (cacheDir === undefined || !hasOnnxRuntime(cacheDir))
    return { missing: `ONNX Runtime is not installed: run "${INSTALL_ONNX_RUNTIME}"` };
  const runtime = await openOnnxRuntime(path, { cacheDir, threads: THREADS }).catch(refuse);
  try {
    let [largestDifference, tolerance] = [0, 0];
    const shapes = shapesFor(model.input);
    for (const shape of shapes) {
      const feeds = randomInputs(model.input, shape);
      const ours = await outputsOf(engine, { model, exported, shape, feeds });
      const theirs = await outputsOfRuntime(runtime, { model, shape, feeds }).catch(refuse);
      for (const [name, expected] of ours) {
        const found = compareLogits(valueFor(theirs, name), expected);
        if (!(found.largest <= found.tolerance))
          throw new ExportError(
            `ONNX Runtime computes something else: for ${shown(model.input, shape)} the largest difference in ${name} is ${found.largest.toPrecision(3)}, more than ${found.tolerance.toPrecision(3)}; nothing was written: report this with the recipe`,
          );
        largestDifference = Math.max(largestDifference, found.largest);
        tolerance = Math.max(tolerance, found.tolerance);
      }
    }
    return {
      program: onnxRuntimeName.replace('-', ' '),
      inputs: shapes.map(shape => shown(model.input, shape)),
      largestDifference,
      tolerance,
    };
  } finally {
    await runtime.close();
  }
}

function refuse(error: unknown): never {
  if (error instanceof OnnxRuntimeError) throw new ExportError(`${error.message}\nnothing was written: report this with the recipe`);
  throw new EngineError(
    `ONNX Runtime does not start here (${messageOf(error).split('\n')[0]}): run "rowtune engine remove ${onnxRuntimeName}" to export without this check`,
  );
}

function shapesFor(input: ClassifierInput): ClassifierShape[] {
  if (input.kind === 'image') return IMAGE_BATCHES.map(batch => ({ batch, tokens: 0 }));
  return TEXT_SHAPES.map(({ batch, tokens }) => ({ batch, tokens: Math.min(tokens, input.maxPositions) }));
}

const shown = ({ kind }: ClassifierInput, { batch, tokens }: ClassifierShape): string => {
  const count = `${batch} ${kind === 'image' ? 'image' : 'text'}${batch === 1 ? '' : 's'}`;
  return kind === 'image' ? count : `${count} of ${tokens} tokens`;
};

/** Random ids, segments and pixels. Each text except the first is shorter than the batch and padded. */
function randomInputs(input: ClassifierInput, { batch, tokens }: ClassifierShape): Record<string, HostArray> {
  const random = createRandom(SEED);
  if (input.kind === 'image') {
    const count = batch * input.height * input.width * input.channels;
    return { pixels: Float32Array.from({ length: count }, () => 4 * random.uniform() - 2) };
  }
  const { vocabularySize, padId, tokenTypes } = input;
  const lengthOf = (text: number): number => Math.max(1, tokens - text * Math.ceil(tokens / 4));
  const isSeen = (i: number): boolean => i % tokens < lengthOf(Math.floor(i / tokens));
  const fill = (of: (i: number) => number): number[] => Array.from({ length: batch * tokens }, (_, i) => of(i));
  const ids = Int32Array.from(fill(i => (isSeen(i) ? random.below(vocabularySize) : padId)));
  const seen = Float32Array.from(fill(i => Number(isSeen(i))));
  const types = Int32Array.from(fill(i => (isSeen(i) ? random.below(Math.max(1, tokenTypes)) : 0)));
  return { ids, seen, ...(tokenTypes > 1 && { types }) };
}

interface Input {
  readonly model: ClassifierModel;
  readonly shape: ClassifierShape;
  readonly feeds: Record<string, HostArray>;
}

/** The outputs of our engine with the weights read from the file, computed as in an evaluation. */
async function outputsOf(
  engine: Engine,
  { model, exported, shape, feeds }: Input & Pick<RuntimeCheckParams, 'exported'>,
): Promise<ReadonlyMap<string, Float32Array>> {
  const session = await engine.compile(forwardProgram(model, shape));
  try {
    await loadVariables(session, { model: storedWeights(model, exported.weights, untouched), attachment: untouched });
    return new Map(Object.entries(await session.run(PASS, feeds)).map(([name, values]) => [name, float32Of(values)]));
  } finally {
    await session.dispose();
  }
}

async function outputsOfRuntime(runtime: OnnxRuntime, { model, shape, feeds }: Input): Promise<ReadonlyMap<string, Float32Array>> {
  const given = Object.entries(feeds).map(([feed, data]) => [inputName(feed), runtimeTensor(model.input, shape, data)] as const);
  const found = await runtime.run(Object.fromEntries(given));
  return new Map(
    [...found].map(([name, { data }]) => {
      if (data instanceof Float32Array) return [name, data];
      throw new OnnxRuntimeError(`ONNX Runtime gave integers for ${name}`);
    }),
  );
}

function runtimeTensor(input: ClassifierInput, { batch, tokens }: ClassifierShape, data: HostArray): RuntimeTensor {
  if (input.kind === 'tokens') return { type: 'int64', data: BigInt64Array.from(data, BigInt), dims: [batch, tokens] };
  const { channels, height, width } = input;
  const dims = [batch, channels, height, width];
  const places = height * width;
  const first = Float32Array.from({ length: elementCount(dims) }, (_, i) => {
    const [image, channel, place] = [Math.floor(i / (channels * places)), Math.floor(i / places) % channels, i % places];
    return data[(image * places + place) * channels + channel] ?? 0;
  });
  return { type: 'float32', data: first, dims };
}
