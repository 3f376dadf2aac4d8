/** Computes how training changed rows or columns. */
import type { ParameterSpec } from '../../model/module-specs.ts';
import type { WeightSource } from '../../model/weight-source.ts';
import type { TrainedParts } from '../trained-parts.ts';

/** Trained minus base rows, [r, …]. */
export async function rowChange(
  weights: WeightSource,
  adapter: TrainedParts,
  { name }: ParameterSpec,
  rows: Int32Array,
): Promise<Float32Array> {
  const base = await weights.readFloat32(name);
  const trained = await adapter.readFloat32(name);
  const width = trained.length / rows.length;
  return trained.map((value, i) => value - (base[(rows[Math.floor(i / width)] as number) * width + (i % width)] as number));
}

/** Trained minus base columns, [out, c]. */
export async function columnChange(
  weights: WeightSource,
  adapter: TrainedParts,
  { name, shape }: ParameterSpec,
  columns: Int32Array,
): Promise<Float32Array> {
  const base = await weights.readFloat32(name);
  const trained = await adapter.readFloat32(name);
  const width = shape[1] as number;
  const count = columns.length;
  return trained.map((value, i) => value - (base[Math.floor(i / count) * width + (columns[i % count] as number)] as number));
}
