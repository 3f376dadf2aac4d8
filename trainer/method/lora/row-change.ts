/** The change of trained rows. */
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
