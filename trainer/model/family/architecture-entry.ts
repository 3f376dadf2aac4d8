/** Entries of the table of architectures. */
import type { ConfigJson, ModelOptions } from '../config-json.ts';
import type { KeyTable } from '../config-keys.ts';
import type { AnyModel } from '../model-spec.ts';

/** How a model class is built, and which keys its config.json may have. */
export interface ArchitectureEntry {
  readonly keys: KeyTable;
  /** Returns the config with all defaults filled in. @throws ModelConfigError */
  readonly read: (config: ConfigJson, options: ModelOptions) => object;
  readonly build: (config: ConfigJson, options: ModelOptions) => AnyModel;
  /** The model without its head, if `build` would add one. */
  readonly withoutHead?: (config: ConfigJson) => AnyModel;
}

export const entryOf = <Read extends object>(
  keys: KeyTable,
  read: (config: ConfigJson, options: ModelOptions) => Read,
  build: (config: Read) => AnyModel,
): ArchitectureEntry => ({ keys, read, build: (config, options) => build(read(config, options)) });

/** The classes of one family, which differ in their form. */
export const classesOf =
  <Form, Read extends object>(
    keys: KeyTable,
    read: (architecture: string, form: Form, config: ConfigJson, options: ModelOptions) => Read,
    build: (config: Read) => AnyModel,
  ) =>
  (architecture: string, form: Form): ArchitectureEntry =>
    entryOf(keys, (config, options) => read(architecture, form, config, options), build);
