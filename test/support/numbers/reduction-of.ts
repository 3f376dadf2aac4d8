/** How a class-wise measure reduces a row's scores by class to one number. */
import type { MeasureName } from '../../../trainer/catalog/measures.ts';
import { measures } from '../../../trainer/importance/measures.ts';

export function reductionOf(name: MeasureName): (sorted: Float32Array) => number {
  const measure = measures[name];
  if (measure.needs !== 'outputs' || measure.of !== 'classes') throw new Error(`${name} is not made of classes`);
  return measure.reduce;
}
