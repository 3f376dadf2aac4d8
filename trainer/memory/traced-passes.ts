/** What the passes of a run take and cost, from the graph of all its blocks, or of a few where all blocks are alike. */
import { fusedSteps, type Step, singleSteps } from '../graph/fusion/plan.ts';
import type { Node } from '../graph/graph.ts';
import { type BufferRules, liveness, signatureFlops } from '../graph/liveness.ts';
import { assemble, type Program, type Signature } from '../graph/program.ts';
import type { RecomputePolicy } from '../graph/recompute.ts';
import { byteSize } from '../graph/types.ts';
import type { Attachment } from '../method/method.ts';
import { type ConfigJson, loadModel } from '../model/load-model.ts';
import type { AnyModel } from '../model/model-spec.ts';
import type { EngineName, Recipe } from '../protocol/recipe-schema.ts';
import { type BatchShape, shapeName } from '../train/task.ts';
import { evalSignature, traceTrain, trainProgram, trainSignature } from '../train/train-program.ts';
import { bufferRules } from './engine-buffers.ts';
import { plannedParams } from './planned-program.ts';

export interface PassEstimate {
  /** Most bytes of tensors alive at once. */
  readonly activationBytes: number;
  readonly flops: number;
}

/** The passes of one shape of batch. */
export interface TracedPasses {
  /** `feedBytes`: of a batch, as it comes in. */
  readonly training: PassEstimate & { readonly nodes: number; readonly feedBytes: number };
  readonly evaluation: PassEstimate & { readonly nodes: number; readonly feedBytes: number };
  /** Nodes that a program has once, whatever its shapes of batches: variables, what saves and restores, what applies. */
  readonly sharedNodes: number;
}

export interface PassShapes {
  readonly shape: BatchShape;
  readonly evalShape: BatchShape;
}

/** Operations of TensorFlow that declare, fill and read a variable, besides what the programs themselves do with it. */
const NODES_OF_VARIABLE = 9;

/** Blocks of the small models: two at each end differ from those between, and between them one, two and three must lie on a line. */
const DEPTHS = [5, 6, 7] as const;

export interface PassTracerParams {
  readonly engine: EngineName;
  readonly config: ConfigJson;
  readonly recipe: Recipe;
  readonly model: AnyModel;
  readonly attachment: Attachment;
  /** The same method on a model of the same family. */
  readonly attach: (model: AnyModel) => Attachment;
}

interface Depth {
  readonly model: AnyModel;
  readonly attachment: Attachment;
  /** What has been measured of it and depends on the level of recomputation only in whether steps are fused, by that and the evaluation's batch. */
  readonly known: Map<string, Pick<Measured, 'evaluation' | 'sharedNodes'>>;
}

/**
 * While block k is at work, what is alive of the other blocks is linear in k and in the number of blocks. So where all blocks are alike,
 * the most bytes at each station (before the blocks, each of the two outermost blocks at both ends, those between, after them; forward and
 * backward) is linear in the number of blocks, and three small models give it, or show that it is not: then the whole model is traced.
 */
export class PassTracer {
  private readonly params: PassTracerParams;
  private readonly whole: Depth;
  private readonly depths: readonly Depth[] | undefined;

  constructor(params: PassTracerParams) {
    this.params = params;
    this.whole = { model: params.model, attachment: params.attachment, known: new Map() };
    this.depths = shallowModels(params);
  }

  passes(shapes: PassShapes, recompute: RecomputePolicy): TracedPasses {
    // Under sqrt blocks are grouped by their number, so that a small model has other groups.
    const small = recompute === 'sqrt' ? undefined : this.depths?.map(depth => this.measure(depth, shapes, recompute));
    return (small && extrapolate(small, this.whole.model.blocks)) ?? toPasses(this.measure(this.whole, shapes, recompute));
  }

  private measure({ model, attachment, known }: Depth, { shape, evalShape }: PassShapes, recompute: RecomputePolicy): Measured {
    const { recipe, engine } = this.params;
    const params = { ...plannedParams(recipe, model), attachment, recompute };
    const passOf = (signature: Signature, rules: BufferRules): MeasuredPass => ({
      stations: stations(signature, stepsOf(signature), model.blocks, rules),
      flops: signatureFlops(signature),
      nodes: signature.schedule.length,
      feedBytes: signature.feeds.reduce((sum, { attrs }) => sum + byteSize(attrs.spec), 0),
    });
    // Where everything is kept, fused steps keep less, since they compute again what costs nothing; elsewhere both take the same to a
    // hundredth (held by a test), and to plan them takes four times as long as to trace.
    const isFused = engine === 'tensorflow' && recompute === 'none';
    const stepsOf = isFused ? fusedSteps : singleSteps;
    const key = `${shapeName(evalShape)} ${isFused}`;
    const before = known.get(key);
    if (before) {
      const { signatures, variables } = assemble({ training: traceTrain(params, shape) });
      return { ...before, training: passOf(signatures.training as Signature, bufferRules(engine, { variables })) };
    }
    const program = trainProgram({ ...params, trainShapes: [shape], evalShapes: [evalShape] });
    const rules = bufferRules(engine, program);
    const training = passOf(program.signatures[trainSignature(shape)] as Signature, rules);
    const evaluation = passOf(program.signatures[evalSignature(evalShape)] as Signature, rules);
    const sharedNodes = nodeCount(program) - training.nodes - evaluation.nodes;
    known.set(key, { evaluation, sharedNodes });
    return { training, evaluation, sharedNodes };
  }
}

interface MeasuredPass {
  readonly stations: ReadonlyMap<string, number>;
  readonly flops: number;
  readonly nodes: number;
  readonly feedBytes: number;
}

interface Measured {
  readonly training: MeasuredPass;
  readonly evaluation: MeasuredPass;
  readonly sharedNodes: number;
}

const nodeCount = ({ signatures, variables }: Program): number =>
  Object.values(signatures).reduce((sum, { schedule }) => sum + schedule.length, NODES_OF_VARIABLE * variables.length);

/** The most bytes alive at each station of the steps of a signature. */
function stations(signature: Signature, steps: readonly Step[], blocks: number, rules: BufferRules): Map<string, number> {
  const { bytes } = liveness(signature, steps, rules);
  const found = new Map<string, number>();
  let block = -1;
  steps.forEach(({ nodes }, i) => {
    const node = nodes.at(-1) as Node;
    if (node.block >= 0) block = node.block;
    const place = block < 2 ? block : block >= blocks - 2 ? block - blocks - 2 : 'between';
    const key = `${node.phase > 0 || node.recomputed ? 'backward' : 'forward'} ${place}${node.block < 0 ? ' outside' : ''}`;
    found.set(key, Math.max(found.get(key) ?? 0, bytes[i] as number));
  });
  return found;
}

const largest = (values: ReadonlyMap<string, number>): number => Math.max(0, ...values.values());

const toPass = ({ stations: of, ...pass }: MeasuredPass) => ({ ...pass, activationBytes: largest(of) });

const toPasses = ({ training, evaluation, sharedNodes }: Measured): TracedPasses => ({
  training: toPass(training),
  evaluation: toPass(evaluation),
  sharedNodes,
});

/** @returns undefined where the small models do not lie on a line */
function extrapolate(small: readonly Measured[], blocks: number): TracedPasses | undefined {
  const [first, second, third] = small as [Measured, Measured, Measured];
  const line = (of: (measured: Measured) => number): number => of(first) + (blocks - DEPTHS[0]) * (of(second) - of(first));
  const pass = (of: (measured: Measured) => MeasuredPass): TracedPasses['training'] | undefined => {
    const keys = [...of(first).stations.keys()];
    const at = (measured: Measured, key: string): number => of(measured).stations.get(key) ?? Number.NaN;
    const isLine = keys.every(key => at(third, key) - at(second, key) === at(second, key) - at(first, key));
    if (!isLine || of(third).stations.size !== keys.length) return undefined;
    const activationBytes = Math.max(...keys.map(key => line(measured => at(measured, key))));
    return { activationBytes, flops: line(m => of(m).flops), nodes: line(m => of(m).nodes), feedBytes: of(first).feedBytes };
  };
  const training = pass(({ training: own }) => own);
  const evaluation = pass(({ evaluation: own }) => own);
  return training && evaluation && { training, evaluation, sharedNodes: Math.round(line(m => m.sharedNodes)) };
}

/** The same model with few blocks, where it has many and each is as the next: in its sizes, its settings and what is trained of it. */
function shallowModels({ config, model, attachment, attach }: PassTracerParams): Depth[] | undefined {
  const { blocks } = model;
  if (config.num_hidden_layers !== blocks || blocks <= 2 * DEPTHS[2]) return undefined;
  // A list with an entry a block, or a number of the first block that differs, would mean another thing in a small model.
  if (Object.values(config).some(value => Array.isArray(value) && value.length === blocks) || config.use_sliding_window === true)
    return undefined;
  if (!blocksAreAlike(model, attachment)) return undefined;
  return DEPTHS.map(depth => {
    const small = loadModel({ ...config, num_hidden_layers: depth });
    return { model: small, attachment: attach(small), known: new Map() };
  });
}

function blocksAreAlike(model: AnyModel, { trainables }: Attachment): boolean {
  const trained = new Map(trainables.map(({ variable, name, shape }) => [variable.name, `${name.replace(/\d+/, '')} ${shape}`]));
  const inBlock = new Map<number, string[]>();
  for (const { name, layer, weight, bias } of model.modules) {
    if (layer < 0) continue;
    const parts = [weight, ...(bias ? [bias] : [])].map(({ shape, name: of }) => `${shape} ${trained.get(of) ?? ''}`);
    inBlock.set(layer, [...(inBlock.get(layer) ?? []), `${name.replace(/\d+/, '')} ${parts.join(' ')}`]);
  }
  const described = new Set([...inBlock.values()].map(parts => parts.join('\n')));
  const beside = new Map<string, number>();
  for (const { name, shape } of trainables) {
    const layer = /\.(\d+)\./.exec(name)?.[1];
    if (layer !== undefined)
      beside.set(`${name.replace(/\d+/, '')} ${shape}`, (beside.get(`${name.replace(/\d+/, '')} ${shape}`) ?? 0) + 1);
  }
  return described.size === 1 && [...beside.values()].every(count => count === model.blocks);
}
