/** `modules_to_save`: modules that are trained as a whole in addition to the method, as in PEFT. */
import type { ModuleSpec } from '../model/module-specs.ts';
import { type Attach, type Trainable, whole } from './method.ts';
import { savedModules } from './targets.ts';

/** Every trained parameter of a module. */
export const wholeModule = ({ weight, bias }: ModuleSpec): Trainable[] =>
  (bias ? [weight, bias] : [weight]).map(({ name, shape }) => whole({ name, shape, dtype: 'float32' }));

/** Extends a method so that it also trains the modules that the settings name as a whole. */
export const withSavedModules =
  (attach: Attach): Attach =>
  (model, settings, selection) => {
    const own = attach(model, settings, selection);
    const known = new Set(own.trainables.map(({ name }) => name));
    const added = savedModules(model, settings)
      .flatMap(wholeModule)
      .filter(({ name }) => !known.has(name));
    return added.length > 0 ? { ...own, trainables: [...own.trainables, ...added] } : own;
  };
