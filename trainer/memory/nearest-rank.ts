/** Methods beside each other: the rank at which one trains about as many numbers as another. */
import type { MethodName, MethodSettings } from '../method/method.ts';
import { targetModules } from '../method/targets.ts';
import type { Model } from '../model/model-spec.ts';

/** The rank of a method whose trained parameters come nearest to `trainable`; at least 1, at most what the smallest layer has. */
export function nearestRank(model: Model, method: MethodName, settings: MethodSettings, trainable: number): number {
  if (method === 'full') return 0;
  const modules = targetModules(model, settings);
  const perRank = modules.reduce((sum, { weight, bias }) => {
    const width = weight.shape.slice(1).reduce((n, d) => n * d, 1);
    return sum + (method === 'lora' ? width + (weight.shape[0] as number) : width + (bias ? 1 : 0));
  }, 0);
  const most = Math.min(...modules.map(({ weight }) => Math.min(...weight.shape.slice(0, method === 'lora' ? 2 : 1))));
  return Math.min(most, Math.max(1, Math.round(trainable / perRank)));
}
