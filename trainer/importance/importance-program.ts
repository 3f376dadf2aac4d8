/** The programs that score rows from data in one pass: every batch adds to an accumulator for each module. */

import { type MeasureName, measureCatalog } from '../catalog/measures.ts';
import { backward } from '../graph/gradient.ts';
import { Graph, type Node, type Parts, type VariableSpec } from '../graph/graph.ts';
import { assemble, type Program, type Traced } from '../graph/program.ts';
import type { RecomputePolicy } from '../graph/recompute.ts';
import { isConv, isExperts, type ModuleSpec } from '../model/module-specs.ts';
import { type ModuleTap, Tracer } from '../model/tracer.ts';
import type { WeightStorage } from '../model/weight-storage.ts';
import { valueFor } from '../narrow.ts';
import type { TrainedUnit } from '../selection.ts';
import { type BatchShape, shapeName, type Task } from '../train/task.ts';
import { taylorColumn } from './column-forms.ts';
import { heldWeight } from './held-weights.ts';
import { ImportanceError } from './importance-error.ts';
import { type GradientMeasure, type InputMeasure, measures, measuresOfAnyWeight, type OutputMeasure } from './measures.ts';
import { signedRow, taylorRow, taylorSamples } from './row-forms.ts';
import { sumsByModule } from './sums-by-module.ts';

export interface ImportanceProgramParams {
  readonly measure: MeasureName;
  /** The scored part of each weight; rows by default. */
  readonly unit?: TrainedUnit;
  readonly task: Task;
  readonly modules: readonly ModuleSpec[];
  readonly shapes: readonly BatchShape[];
  readonly recompute: RecomputePolicy;
  /** The number of classes, for class-wise measures. */
  readonly classes: number;
  /** Groups of modules whose mean gradients are accumulated in one sweep over the data; empty except for exact measures. */
  readonly sweeps: readonly (readonly ModuleSpec[])[];
  /** How the weights are stored; float32 by default. Measures of weight gradients need weights that are not quantized. */
  readonly storage?: WeightStorage;
  /** The processes that mean gradients are summed over; by default, one process has all batches. */
  readonly parts?: Parts | undefined;
  /** Number of devices of one process, each with its own batch, which add to the same sums; 1 by default. */
  readonly devices?: number | undefined;
}

/** The feed that is 1 for a device whose batch counts, and 0 for one that repeats another's batch; used with several devices. */
export const COUNTS = 'counts';

export const scoreSignature = (shape: BatchShape, sweep = 0): string => `score/${sweep}/${shapeName(shape)}`;
/** The signature that turns the mean gradients of a sweep into scores and clears them for the next. */
export const reduceSignature = (sweep: number): string => `reduce/${sweep}`;

/** The accumulator of a module: [rows], [inputs], or [classes, rows], depending on the measure. */
export function accumulator(
  { measure, classes, unit }: Pick<ImportanceProgramParams, 'measure' | 'classes' | 'unit'>,
  module: ModuleSpec,
): VariableSpec {
  const rows = module.weight.shape[0] as number;
  const how = measures[measure];
  const perInput = unit === 'columns' || (how.needs === 'inputs' && how.sums === 'inputs');
  const perClass = measureCatalog[measure].byClass ? [classes, rows] : [rows];
  return { name: `${module.name}.score`, shape: perInput ? [inputsOf(module)] : perClass, dtype: 'float32' };
}

/** Number of inputs that a row of a module reads; a norm or an embedding has one input per row. */
function inputsOf(module: ModuleSpec): number {
  const [rows = 1, perGroup = 1] = module.weight.shape;
  if (module.kind === 'norm' || module.kind === 'embedding') return rows;
  if (isExperts(module)) return module.experts * perGroup;
  const groups = isConv(module) ? module.window.groups : 1;
  return perGroup * groups;
}

/** A program whose signatures add one batch each; the accumulators are read by name. @throws ImportanceError */
export function importanceProgram(params: ImportanceProgramParams): Program {
  if (params.sweeps.length > 0) return exactProgram(params);
  return assemble(Object.fromEntries(params.shapes.map(shape => [scoreSignature(shape), traceScores(params, shape)])));
}

function traceScores(params: ImportanceProgramParams, shape: BatchShape): Traced {
  const measure = measures[params.measure];
  switch (measure.needs) {
    case 'inputs':
      return traceInputs(params, shape, measure);
    case 'outputs':
      return traceOutputs(params, shape, measure);
    case 'gradients':
      return traceGradients(params, shape, measure);
    case 'nothing':
    case 'weights':
    case 'steps':
      throw new Error(`${params.measure} adds nothing up over batches`);
  }
}

const wide = (graph: Graph, x: Node): Node => graph.cast(x, 'float32');

/** The factor that a layer multiplies by: a norm whose weight is stored as a difference from 1 scales by the sum. */
function acting(graph: Graph, { offset }: ModuleSpec, weight: Node): Node {
  const own = wide(graph, weight);
  return offset ? graph.add(own, offset) : own;
}

/** Adds to a variable. With several devices, each adds the values of all of them, so that their copies of the sum stay bit-identical. */
function addTo({ devices = 1 }: Pick<ImportanceProgramParams, 'devices'>, graph: Graph, variable: VariableSpec, value: Node): Node {
  graph.declare(variable);
  const added = devices === 1 ? value : graph.endSum(graph.beginSum(graph.mul(value, graph.feed(COUNTS, []))));
  return graph.assignAdd(variable.name, added);
}

/** The devices that run a signature; undefined for one. */
const replicasOf = ({ devices = 1 }: Pick<ImportanceProgramParams, 'devices'>): number | undefined => (devices === 1 ? undefined : devices);

/** Forward pass only: squares of a module's inputs or outputs. Feeds `present` [batch, tokens]: 1 for tokens of a sample. */
function traceInputs(params: ImportanceProgramParams, shape: BatchShape, { add }: InputMeasure): Traced {
  const graph = new Graph();
  const { batch, tokens } = shape;
  const presence = { batch, tokens, present: graph.feed('present', [batch, tokens]) };
  const wanted = new Set(params.modules.map(({ name }) => name));
  const sums = new Map<string, Node>();
  // Computed at the layer, so that an activation is freed as soon as the model no longer needs it.
  const onTap = (module: ModuleSpec, tap: ModuleTap): void => {
    if (wanted.has(module.name)) sums.set(module.name, plus(graph, sums.get(module.name), add(graph, module, tap, presence)));
  };
  const tracer = new Tracer({ graph, onTap, storage: params.storage });
  const readByLoss = new Set<string>();
  params.task.loss(tracer, shape, ({ name }) => {
    readByLoss.add(name);
    return 'none';
  });
  const effects = params.modules.map(module => {
    checkTaps(params, tracer, module, readByLoss);
    return addTo(params, graph, accumulator(params, module), valueFor(sums, module.name));
  });
  return { graph, outputs: { done: graph.scalar(1) }, effects, replicas: replicasOf(params) };
}

const plus = (graph: Graph, sum: Node | undefined, value: Node): Node => (sum ? graph.add(sum, value) : value);

/**
 * The taps of a module, one per use. @param readByLoss parameters that the loss reads directly, so that taps miss all or part of their use
 */
function checkTaps(
  { measure }: ImportanceProgramParams,
  tracer: Tracer,
  module: ModuleSpec,
  readByLoss: ReadonlySet<string>,
): readonly ModuleTap[] {
  const taps = tracer.tapsOf(module);
  if (taps.length > 0 && !readByLoss.has(module.weight.name)) return taps;
  throw new ImportanceError(
    `the measure '${measure}' looks at what passes through a layer, and ${module.name} is read ${readByLoss.has(module.weight.name) ? 'by the loss itself' : 'as it is'}; leave it out of target_modules, or use one of ${measuresOfAnyWeight.join(', ')}`,
  );
}

export interface Backwards {
  readonly wanted: readonly Node[];
  /** Returns an effect, or undefined if more gradients of the same module follow. */
  readonly onReady: (node: Node, gradient: Node, value: (wanted: Node) => Node) => Node | undefined;
}

/** Builds the forward pass, loss and backward pass; `onReady` turns each gradient into an effect while it is in memory. */
export function traceBackward(
  params: Pick<ImportanceProgramParams, 'task' | 'storage' | 'recompute' | 'devices'>,
  shape: BatchShape,
  toward: readonly ModuleSpec[],
  build: (graph: Graph, tracer: Tracer, readByLoss: ReadonlySet<string>) => Backwards,
): Traced {
  const graph = new Graph();
  const tracer = new Tracer({ graph, storage: params.storage });
  const readByLoss = new Set<string>();
  const { loss, seeds } = params.task.loss(tracer, shape, ({ name }) => {
    readByLoss.add(name);
    return toward.some(({ weight }) => weight.name === name) ? 'all' : 'none';
  });
  const { wanted, onReady } = build(graph, tracer, readByLoss);
  const effects: Node[] = [];
  backward(graph, {
    seeds,
    wrt: new Map(wanted.map(node => [node, {}])),
    policy: params.recompute,
    onReady: (node, gradient, value) => {
      const effect = onReady(node, gradient, value);
      if (effect) effects.push(effect);
    },
  });
  return { graph, outputs: { loss }, effects, replicas: replicasOf(params) };
}

/**
 * Traces a measure of outputs and their gradients. Measures of samples and classes feed `sampleWeights` [samples], the factor of a sample's
 * sum of losses; measures of classes also feed `sampleClasses` int32 [samples], −1 if there is no sample.
 */
function traceOutputs(params: ImportanceProgramParams, shape: BatchShape, measure: OutputMeasure): Traced {
  // The loss reads the head of a language model directly, and a class token is added directly: the whole gradient replaces a tap.
  const takesWhole = measure.of === 'batch';
  return traceBackward(params, shape, takesWhole ? params.modules : [], (graph, tracer, readByLoss) => {
    const hasTap = (module: ModuleSpec) => tracer.tapsOf(module).length > 0 && !readByLoss.has(module.weight.name);
    const direct = takesWhole ? params.modules.filter(module => !hasTap(module)) : [];
    const weights = new Map(direct.map(module => [heldWeight(graph, module, params.storage), module]));
    const tapped = params.modules.filter(module => !direct.includes(module));
    const outputs = new Map(
      tapped.flatMap(module => checkTaps(params, tracer, module, readByLoss).map(tap => [tap.y, { module, tap }] as const)),
    );
    const sums = new Map<ModuleSpec, { readonly sum: Node; readonly uses: number }>();
    return {
      wanted: [...outputs.keys(), ...weights.keys()],
      onReady: (node, gradient, value) => {
        const whole = weights.get(node);
        if (whole)
          return addTo(params, graph, accumulator(params, whole), signedRow(graph, acting(graph, whole, node), wide(graph, gradient)));
        const { module, tap } = valueFor(outputs, node);
        const before = sums.get(module);
        const own =
          params.unit === 'columns'
            ? taylorColumn(graph, wide(graph, value(tap.x)), gradient, wide(graph, heldWeight(graph, module, params.storage)))
            : sumOfUse(measure, graph, module, { tap, y: value(node), dy: gradient, samples: samplesOf(params, shape) });
        const sum = plus(graph, before?.sum, own);
        const uses = (before?.uses ?? 0) + 1;
        sums.set(module, { sum, uses });
        // The square is taken of the sum over all uses, so wait for all of them.
        if (uses < tracer.tapsOf(module).length) return undefined;
        return addTo(params, graph, accumulator(params, module), addedByOutputs(params, shape, measure, graph, sum));
      },
    };
  });
}

/** Maximum number of samples in a batch. */
const samplesOf = ({ task }: ImportanceProgramParams, { batch }: BatchShape): number => batch / (task.rowsPerSample ?? 1);

interface Use {
  readonly tap: ModuleTap;
  readonly y: Node;
  readonly dy: Node;
  readonly samples: number;
}

/** row · gradient for one use of a module: [rows] for a whole batch, otherwise [samples, rows]. */
const sumOfUse = (measure: OutputMeasure, graph: Graph, module: ModuleSpec, { tap, y, dy, samples }: Use): Node =>
  measure.of === 'batch' ? taylorRow(graph, module, tap, y, dy) : taylorSamples(graph, module, tap, y, dy, samples);

/** @param sum of `sumOfUse` over all uses */
function addedByOutputs(params: ImportanceProgramParams, shape: BatchShape, measure: OutputMeasure, graph: Graph, sum: Node): Node {
  if (measure.of === 'batch') return sum;
  const count = samplesOf(params, shape);
  const samples = graph.mul(sum, graph.reshape(graph.feed('sampleWeights', [count]), [count, 1]));
  if (measure.of === 'samples') return graph.sum(graph.square(samples), [0]);
  return graph.segmentSum(samples, graph.feed('sampleClasses', [count], 'int32'), params.classes);
}

/** Traces a measure of each batch's gradient. The gradient of one layer is in memory at a time, only until its score is computed. */
const traceGradients = (params: ImportanceProgramParams, shape: BatchShape, { reduce }: GradientMeasure): Traced =>
  traceBackward(params, shape, params.modules, graph => {
    const weights = new Map(params.modules.map(module => [heldWeight(graph, module, params.storage), module] as const));
    return {
      wanted: [...weights.keys()],
      onReady: (weight, gradient) => {
        const module = valueFor(weights, weight);
        return addTo(params, graph, accumulator(params, module), reduce(graph, acting(graph, module, weight), wide(graph, gradient)));
      },
    };
  });

const meanGradients = (sweep: readonly ModuleSpec[]): Map<ModuleSpec, VariableSpec> => sumsByModule('mean gradient', sweep);

export const meanGradientSpecs = (sweeps: readonly (readonly ModuleSpec[])[]): VariableSpec[] => [
  ...new Map(sweeps.flatMap(sweep => [...meanGradients(sweep).values()]).map(spec => [spec.name, spec])).values(),
];

/** The program for exact mean gradients: each sweep over the data accumulates the gradients of its modules, then scores them. */
function exactProgram(params: ImportanceProgramParams): Program {
  const measure = measures[params.measure];
  if (measure.needs !== 'gradients') throw new Error(`${params.measure} has no mean gradient`);
  const traces: Record<string, Traced> = {};
  params.sweeps.forEach((sweep, i) => {
    const sums = meanGradients(sweep);
    for (const shape of params.shapes)
      traces[scoreSignature(shape, i)] = traceBackward(params, shape, sweep, graph => {
        const weights = new Map(sweep.map(module => [heldWeight(graph, module, params.storage), module] as const));
        return {
          wanted: [...weights.keys()],
          onReady: (weight, gradient) => addTo(params, graph, valueFor(sums, valueFor(weights, weight)), wide(graph, gradient)),
        };
      });
    traces[reduceSignature(i)] = traceReduce(params, measure, sums);
  });
  return assemble(traces);
}

function traceReduce(params: ImportanceProgramParams, { reduce }: GradientMeasure, sums: ReadonlyMap<ModuleSpec, VariableSpec>): Traced {
  const graph = new Graph(params.parts);
  const effects = [...sums].flatMap(([module, sum]) => {
    const score = accumulator(params, module);
    graph.declare(score);
    const value = reduce(graph, acting(graph, module, heldWeight(graph, module, params.storage)), graph.totalOf(graph.read(sum)));
    return [graph.assign(score.name, value), graph.assign(sum.name, graph.zeros(sum.shape))];
  });
  return { graph, outputs: { done: graph.scalar(1) }, effects, replicas: replicasOf(params) };
}
