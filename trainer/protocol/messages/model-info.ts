/** A model in a list. */

export interface ModelInfo {
  /** The hub name, or the folder name. */
  readonly name: string;
  readonly path: string;
  /** `run`: it was exported into the folder of a run. */
  readonly source: 'cache' | 'folder' | 'run';
  readonly family?: string;
  readonly parameters?: number;
  readonly weightBytes?: number;
  readonly dtypes?: readonly string[];
  /** It can be asked something. Daemons of older versions do not say. */
  readonly writesText?: boolean;
  /** The reason why its headers can't be read. */
  readonly problem?: string;
}
