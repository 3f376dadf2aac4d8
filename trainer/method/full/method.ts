/** Dense fine-tuning: trains every weight that is not frozen. */
import type { Attach, Method } from '../method.ts';
import { wholeModule } from '../saved-modules.ts';
import { savedModules, TargetError, targetModules, targetsDefault } from '../targets.ts';

/** Here `all-linear`, the default for the other methods, means the whole model except the routers of experts: see `targetModules`. */
const attachFull: Attach = (model, settings) => {
  const saved = new Set(savedModules(model, settings));
  const targeted = targetsDefault(settings)
    ? model.modules.filter(module => saved.has(module) || (module.part !== 'router' && !settings.freeze.includes(module.part)))
    : [...targetModules(model, settings), ...saved];
  if (targeted.length === 0)
    throw new TargetError(`nothing is left to train: freeze [${settings.freeze.join(', ')}] covers the whole model`);
  return { method: 'full', trainables: targeted.flatMap(wholeModule), initial: () => [] };
};

export const method: Method = { attach: attachFull };
