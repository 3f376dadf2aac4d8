/**
 * How far each row or column moves while all candidates are trained in one short pass: ‖w_i − w_i⁰‖₂. Ansell et al. (2022, LT-SFT) rank
 * single weights by |w − w⁰| after full fine-tuning and train the top ones from w⁰; here whole rows are ranked. Steps are plain gradient
 * descent on the mean loss of a batch, which needs no optimizer state. Biases are not trained.
 */
import { type BatchSource, filledBatches } from '../data/batch/batches.ts';
import type { Engine, Session } from '../engine/engine.ts';
import { assemble, type Program, type Traced } from '../graph/program.ts';
import type { RecomputePolicy } from '../graph/recompute.ts';
import { float32Of } from '../graph/types.ts';
import type { Model } from '../model/model-spec.ts';
import type { ModuleSpec } from '../model/module-specs.ts';
import type { WeightSource } from '../model/weight-source.ts';
import { FLOAT32_STORAGE } from '../model/weight-storage.ts';
import { required, valueFor } from '../narrow.ts';
import type { TrainedUnit } from '../selection.ts';
import { type BatchShape, shapeName, type Task } from '../train/task.ts';
import { columnMagnitude } from './column-forms.ts';
import { heldWeight, heldWeights } from './held-weights.ts';
import { ImportanceError } from './importance-error.ts';
import { type ImportanceProgramParams, traceBackward } from './importance-program.ts';
import { magnitude } from './row-scores.ts';
import type { ModelScores } from './scores-file.ts';

/** The learning rate of the pass: small for plain gradient descent, so that the model stays close to its base. */
export const MOVEMENT_STEP = 0.01;

/** Parameters. The weights are updated in place, in float32: smaller types would round small steps away. */
export type MovementParams = Pick<ImportanceProgramParams, 'task' | 'modules' | 'shapes' | 'recompute'> & {
  /** The factor of a gradient: the learning rate. */
  readonly stepSize: number;
};

const moveSignature = (shape: BatchShape): string => `move/${shapeName(shape)}`;

/** One signature per shape, which moves the weights by one batch; the gradient of one layer is in memory at a time. */
export const movementProgram = (params: MovementParams): Program =>
  assemble(Object.fromEntries(params.shapes.map(shape => [moveSignature(shape), traceMove(params, shape)])));

function traceMove({ stepSize, ...params }: MovementParams, shape: BatchShape): Traced {
  return traceBackward({ ...params, storage: FLOAT32_STORAGE }, shape, params.modules, graph => {
    const weights = new Map(params.modules.map(module => [heldWeight(graph, module), module] as const));
    return {
      wanted: [...weights.keys()],
      onReady: (node, gradient) =>
        graph.assignAdd(valueFor(weights, node).weight.name, graph.mul(graph.cast(gradient, 'float32'), -stepSize)),
    };
  });
}

/** The parts of a scoring that this measure reads. */
export interface MovementScoring {
  readonly model: Model;
  readonly modules: readonly ModuleSpec[];
  readonly unit?: TrainedUnit;
  readonly weights: WeightSource;
  readonly onProgress?: (done: number, total: number, unit: 'batches') => void;
  readonly isCanceled?: () => boolean;
}

export interface MovementData {
  readonly engine: Engine;
  readonly task: Task;
  readonly source: BatchSource;
  readonly recompute: RecomputePolicy;
  readonly stepSize?: number;
}

/**
 * Makes one pass over the data, in the order of its batches. An interrupted pass starts again: intermediate weights are not stored. With
 * several processes, each makes the whole pass.
 * @throws ImportanceError if it was canceled
 */
export async function scoreMovement(params: MovementScoring, data: MovementData): Promise<ModelScores> {
  const { model, modules, weights } = params;
  const { plan } = data.source;
  const stepSize = required(data.stepSize, 'the step of a pass that moves weights');
  const program = movementProgram({ ...data, modules, shapes: plan.buckets, stepSize });
  const session = await data.engine.compile(program);
  try {
    await session.load(heldWeights(model, weights, FLOAT32_STORAGE, session.coder));
    let done = 0;
    params.onProgress?.(0, plan.batchesPerEpoch, 'batches');
    for await (const batch of filledBatches(data.source, plan.epoch(0))) {
      if (params.isCanceled?.()) throw new ImportanceError('computing the importance was canceled');
      await session.run(moveSignature(batch.bucket), batch.feeds(batch.targetCount));
      params.onProgress?.(++done, plan.batchesPerEpoch, 'batches');
    }
    const scores = new Map<string, Float32Array>();
    for (const module of modules) scores.set(module.name, await distances(params, session, module));
    return { scores };
  } finally {
    await session.dispose();
  }
}

async function distances({ weights, unit }: MovementScoring, session: Session, { weight }: ModuleSpec): Promise<Float32Array> {
  const before = await weights.readFloat32(weight.name);
  const moved = float32Of(await session.read(weight.name)).map((value, i) => value - (before[i] as number));
  const [rows = 1, columns = 1] = weight.shape;
  return unit === 'columns' ? columnMagnitude(moved, columns) : magnitude(moved, rows);
}
