/** Dense fine-tuning: every weight that is not frozen. */
import type { ParameterSpec } from '../model/model-spec.ts';
import type { Attach, Trainable } from './method.ts';
import { TargetError, targetModules } from './targets.ts';

/** `all-linear`, the default of the other methods, means the whole model here. */
export const attachFull: Attach = (model, settings) => {
  const everything = settings.targetModules.length === 1 && settings.targetModules[0] === 'all-linear';
  const modules = everything ? model.modules.filter(module => !settings.freeze.includes(module.part)) : targetModules(model, settings);
  if (modules.length === 0)
    throw new TargetError(`nothing is left to train: freeze [${settings.freeze.join(', ')}] covers the whole model`);
  const whole = (parameter: ParameterSpec): Trainable => ({
    name: parameter.name,
    variable: { ...parameter, dtype: 'float32' },
    shape: parameter.shape,
  });
  return {
    method: 'full',
    trainables: modules.flatMap(module => (module.bias ? [whole(module.weight), whole(module.bias)] : [whole(module.weight)])),
    initial: () => [],
  };
};
