/** Trains only biases (Ben Zaken et al. 2022). */

import { ownBias } from '../../model/module-specs.ts';
import type { Attach, Method } from '../method.ts';
import { whole } from '../method.ts';
import { withSavedModules } from '../saved-modules.ts';
import { moduleNames, savedModules, TargetError, targetModules, targetsDefault } from '../targets.ts';

/** Here `all-linear`, the default for the other methods, means every bias of the model, including those of norms. */
const attachBitfit: Attach = (model, settings) => {
  const saved = new Set(savedModules(model, settings));
  const modules = targetsDefault(settings)
    ? model.modules.filter(module => !settings.freeze.includes(module.part) && !saved.has(module))
    : targetModules(model, settings);
  const biases = modules.flatMap(module => ownBias(module) ?? []).map(({ name, shape }) => whole({ name, shape, dtype: 'float32' }));
  if (biases.length === 0)
    throw new TargetError(
      model.modules.some(ownBias)
        ? `bitfit trains biases, and the targeted modules have none (of ${moduleNames(model).join(', ')})`
        : `bitfit trains biases, and this ${model.family} has none: take spsft or lora`,
    );
  return { method: 'bitfit', trainables: biases, initial: () => [] };
};

export const method: Method = { attach: withSavedModules(attachBitfit) };
