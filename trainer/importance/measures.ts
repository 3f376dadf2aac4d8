/** How each measure of the catalog is computed: what a batch adds for a module, and how the sums over all batches become scores. */

import { type MeasureName, measureNames } from '../catalog/measures.ts';
import type { Graph, Node } from '../graph/graph.ts';
import type { ModuleSpec } from '../model/module-specs.ts';
import type { ModuleTap } from '../model/tracer.ts';
import type { WeightSource } from '../model/weight-source.ts';
import { largest, mean, quantilesMean } from './class-scores.ts';
import { columnMagnitude, columnWanda } from './column-forms.ts';
import { lowRankMagnitude } from './low-rank-magnitude.ts';
import { elementwise, elementwiseSquared, inputSquares, outputSquares, type Presence } from './row-forms.ts';
import { magnitude, randomScores, wanda } from './row-scores.ts';

/** A control measure: scores from the name of a module and a seed. */
export interface ChanceMeasure {
  readonly needs: 'nothing';
  /** @param count number of rows or columns */
  readonly score: (module: string, count: number, seed: number) => Float32Array;
}

export interface WeightMeasure {
  readonly needs: 'weights';
  /** @param weight [rows, …] flattened */
  readonly score: (weight: Float32Array, rows: number) => Float32Array;
  /** @param weight [out, columns] flattened */
  readonly scoreColumns?: (weight: Float32Array, columns: number) => Float32Array;
}

export interface InputMeasure {
  readonly needs: 'inputs';
  /** Accumulates one value per row or per input. */
  readonly sums: 'rows' | 'inputs';
  /** Returns the contribution of a batch. */
  readonly add: (graph: Graph, module: ModuleSpec, tap: ModuleTap, presence: Presence) => Node;
  readonly finish: Finish;
  /** Computes column scores from sums per input. */
  readonly finishColumns?: Finish;
}

type Finish = (module: ModuleSpec, sums: Float32Array, weights: WeightSource) => Float32Array | Promise<Float32Array>;

/**
 * A measure of row · gradient of each row (Σ g·y). `batch`: one signed value per row for a whole batch, also for weights that the loss
 * reads directly. `samples`: the mean of squares over samples. `classes`: the mean of each class, reduced to one value.
 */
export type OutputMeasure =
  | { readonly needs: 'outputs'; readonly of: 'batch' }
  | { readonly needs: 'outputs'; readonly of: 'samples' }
  | {
      readonly needs: 'outputs';
      readonly of: 'classes';
      /** @param sorted scores of one row by class, ascending */
      readonly reduce: (sorted: Float32Array) => number;
    };

export interface GradientMeasure {
  readonly needs: 'gradients';
  /** Reduces a weight and its gradient to one value per row. */
  readonly reduce: (graph: Graph, weight: Node, gradient: Node) => Node;
}

/** A measure of the weights after a pass that trains all of them: see movement.ts. */
export interface StepMeasure {
  readonly needs: 'steps';
}

export type Measure = ChanceMeasure | WeightMeasure | InputMeasure | OutputMeasure | GradientMeasure | StepMeasure;

export const measures: { readonly [Name in MeasureName]: Measure } = {
  magnitude: { needs: 'weights', score: magnitude, scoreColumns: columnMagnitude },
  lift: { needs: 'weights', score: lowRankMagnitude },
  wanda: { needs: 'inputs', sums: 'inputs', add: inputSquares, finish: wandaOf, finishColumns: wandaOfColumns },
  activation: { needs: 'inputs', sums: 'rows', add: outputSquares, finish: (_module, sums) => sums.map(Math.sqrt) },
  taylor: { needs: 'gradients', reduce: elementwise },
  taylor_squared: { needs: 'gradients', reduce: elementwiseSquared },
  taylor_row: { needs: 'outputs', of: 'batch' },
  fisher: { needs: 'outputs', of: 'samples' },
  qm_taylor: { needs: 'outputs', of: 'classes', reduce: quantilesMean },
  class_max_taylor: { needs: 'outputs', of: 'classes', reduce: largest },
  class_mean_taylor: { needs: 'outputs', of: 'classes', reduce: mean },
  movement: { needs: 'steps' },
  random: { needs: 'nothing', score: randomScores },
};

/** The measures that work without a tap at the layer, because they use the gradient of the weight itself. */
export const measuresOfAnyWeight: readonly MeasureName[] = measureNames.filter(name => {
  const measure = measures[name];
  return measure.needs === 'gradients' || measure.needs === 'steps' || (measure.needs === 'outputs' && measure.of === 'batch');
});

async function wandaOfColumns(module: ModuleSpec, squares: Float32Array, weights: WeightSource): Promise<Float32Array> {
  return columnWanda(await weights.readFloat32(module.weight.name), squares);
}

/** Wanda's scores of a module. For a norm, the squares already include its scale. */
async function wandaOf(module: ModuleSpec, squares: Float32Array, weights: WeightSource): Promise<Float32Array> {
  if (module.kind === 'norm') return squares.map(Math.sqrt);
  const weight = await weights.readFloat32(module.weight.name);
  if (module.kind !== 'embedding') return wanda(weight, module.weight.shape, squares);
  const [rows = 1, width = 1] = module.weight.shape;
  const sizes = wanda(weight, [rows, width], new Float32Array(width).fill(1));
  return sizes.map((size, row) => size * Math.sqrt(squares[row] as number));
}
