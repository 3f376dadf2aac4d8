/** The programs that score rows from gradients: one pass over the data, with the gradient of one layer at a time at most. */
import { backward } from '../graph/gradient.ts';
import { Graph, type Node, type VariableSpec } from '../graph/graph.ts';
import { assemble, type Program, type Traced } from '../graph/program.ts';
import type { RecomputePolicy } from '../graph/recompute.ts';
import { headLossWithGradient } from '../model/layer/cross-entropy.ts';
import type { CausalModel, ModuleSpec } from '../model/model-spec.ts';
import { Tracer } from '../model/tracer.ts';
import { type BatchShape, declareBatch, shapeName } from '../train/train-program.ts';
import { taylorElementwise, taylorRow } from './measure.ts';

export interface ImportanceProgramParams {
  readonly model: CausalModel;
  readonly modules: readonly ModuleSpec[];
  readonly shapes: readonly BatchShape[];
  readonly packed: boolean;
  readonly recompute: RecomputePolicy;
}

/** Gives all scores, each under its module's name. */
export const SCORES = 'scores';
export const scoreSignature = (shape: BatchShape, sweep = 0): string => `score/${sweep}/${shapeName(shape)}`;
/** Turns the mean gradients of a sweep into scores and clears them for the next. */
export const reduceSignature = (sweep: number): string => `reduce/${sweep}`;

export const scoreVariable = (module: ModuleSpec): VariableSpec => ({
  name: `${module.name}.score`,
  shape: [module.weight.shape[0] as number],
  dtype: 'float32',
});

const weightOf = (graph: Graph, module: ModuleSpec): Node => graph.read({ ...module.weight, dtype: 'float32' });

/** Builds forward, loss and the backward pass towards `wanted`; `onReady` turns each gradient into an effect. */
function traceScores(
  params: ImportanceProgramParams,
  shape: BatchShape,
  build: (
    graph: Graph,
    tracer: Tracer,
  ) => { wanted: readonly Node[]; onReady: (node: Node, gradient: Node, value: (n: Node) => Node) => Node },
): Traced {
  const graph = new Graph();
  const feeds = declareBatch(graph, shape, params.packed);
  const tracer = new Tracer({ graph });
  const hidden = params.model.hidden(tracer, feeds.inputs);
  const weight = graph.read({ ...params.model.head.weight, dtype: 'float32' });
  const { wanted, onReady } = build(graph, tracer);
  const { loss, seeds } = headLossWithGradient(graph, { hidden, weight, ...feeds }, { weight: wanted.includes(weight) ? 'all' : 'none' });
  const effects: Node[] = [];
  backward(graph, {
    seeds,
    wrt: new Map(wanted.map(node => [node, {}])),
    policy: params.recompute,
    onReady: (node, gradient, value) => effects.push(onReady(node, gradient, value)),
  });
  return { graph, outputs: { loss }, effects };
}

function traceRead(modules: readonly ModuleSpec[]): Traced {
  const graph = new Graph();
  return { graph, outputs: Object.fromEntries(modules.map(module => [module.name, graph.read(scoreVariable(module))])), effects: [] };
}

/** Adds Σ g·y of every batch to the score of each row; signed, so the magnitude is taken at the end. */
export function taylorRowProgram(params: ImportanceProgramParams): Program {
  const traces: Record<string, Traced> = { [SCORES]: traceRead(params.modules) };
  for (const shape of params.shapes)
    traces[scoreSignature(shape)] = traceScores(params, shape, (graph, tracer) => {
      const taps = new Map(params.modules.map(module => [tapOf(tracer, module).y, module]));
      return {
        wanted: [...taps.keys()],
        onReady: (y, dy, value) => {
          const module = taps.get(y) as ModuleSpec;
          graph.declare(scoreVariable(module));
          return graph.assignAdd(scoreVariable(module).name, rowScores(graph, tracer, module, value(y), dy));
        },
      };
    });
  return assemble(traces);
}

function tapOf(tracer: Tracer, module: ModuleSpec): { x: Node; y: Node } {
  const tap = tracer.taps.get(module.name);
  if (!tap) throw new Error(`${module.name} takes no part in the forward pass`);
  return tap;
}

function rowScores(graph: Graph, tracer: Tracer, module: ModuleSpec, y: Node, dy: Node): Node {
  if (module.kind === 'embedding') {
    const perToken = graph.sum(graph.mul(dy, y), [-1]);
    return graph.segmentSum(perToken, tapOf(tracer, module).x, module.weight.shape[0] as number);
  }
  return taylorRow(graph, y, dy, module.bias && graph.read({ ...module.bias, dtype: 'float32' }));
}

/** Adds Σ_j |g·w| of every batch; the gradient of one layer is alive at a time, and only until its score is taken. */
export function taylorProgram(params: ImportanceProgramParams): Program {
  const traces: Record<string, Traced> = { [SCORES]: traceRead(params.modules) };
  for (const shape of params.shapes)
    traces[scoreSignature(shape)] = traceScores(params, shape, graph => {
      const weights = new Map(params.modules.map(module => [weightOf(graph, module), module]));
      return {
        wanted: [...weights.keys()],
        onReady: (weight, gradient) => {
          const score = scoreVariable(weights.get(weight) as ModuleSpec);
          graph.declare(score);
          return graph.assignAdd(score.name, taylorElementwise(graph, weight, gradient));
        },
      };
    });
  return assemble(traces);
}

/** The accumulator of each module of a sweep; sweeps share them, since blocks are alike. */
function accumulators(sweep: readonly ModuleSpec[]): Map<ModuleSpec, VariableSpec> {
  const used = new Map<string, number>();
  return new Map(
    sweep.map(module => {
      const shape = module.weight.shape.join('x');
      const count = used.get(shape) ?? 0;
      used.set(shape, count + 1);
      return [module, { name: `mean gradient ${shape} ${count}`, shape: module.weight.shape, dtype: 'float32' }];
    }),
  );
}

export const accumulatorSpecs = (sweeps: readonly (readonly ModuleSpec[])[]): VariableSpec[] => [
  ...new Map(sweeps.flatMap(sweep => [...accumulators(sweep).values()]).map(spec => [spec.name, spec])).values(),
];

/** Element-wise Taylor of the exact mean gradient: each sweep over the data adds up the gradients of its modules, then scores them. */
export function exactTaylorProgram(params: ImportanceProgramParams, sweeps: readonly (readonly ModuleSpec[])[]): Program {
  const traces: Record<string, Traced> = { [SCORES]: traceRead(params.modules) };
  sweeps.forEach((sweep, i) => {
    const sums = accumulators(sweep);
    for (const shape of params.shapes)
      traces[scoreSignature(shape, i)] = traceScores(params, shape, graph => {
        const weights = new Map(sweep.map(module => [weightOf(graph, module), module]));
        return {
          wanted: [...weights.keys()],
          onReady: (weight, gradient) => {
            const sum = sums.get(weights.get(weight) as ModuleSpec) as VariableSpec;
            graph.declare(sum);
            return graph.assignAdd(sum.name, gradient);
          },
        };
      });
    traces[reduceSignature(i)] = traceReduce(sums);
  });
  return assemble(traces);
}

function traceReduce(sums: ReadonlyMap<ModuleSpec, VariableSpec>): Traced {
  const graph = new Graph();
  const effects = [...sums].flatMap(([module, sum]) => {
    graph.declare(scoreVariable(module));
    const score = taylorElementwise(graph, weightOf(graph, module), graph.read(sum));
    return [graph.assign(scoreVariable(module).name, score), graph.assign(sum.name, graph.zeros(sum.shape))];
  });
  return { graph, outputs: { done: graph.scalar(1) }, effects };
}
