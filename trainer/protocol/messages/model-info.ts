/** An entry in a list of models. */

export interface ModelInfo {
  /** The hub name, or the folder name. */
  readonly name: string;
  readonly path: string;
  /** The source; `run` means that it was exported into the folder of a run. */
  readonly source: 'cache' | 'folder' | 'run';
  readonly family?: string;
  readonly parameters?: number;
  readonly weightBytes?: number;
  readonly dtypes?: readonly string[];
  /** Whether it answers a text, by a text or by labels. Missing from daemons of older versions. */
  readonly answersText?: boolean;
  /** Whether it reads images next to its text. Missing from daemons of older versions. */
  readonly readsImages?: boolean;
  /** The reason why its headers cannot be read. */
  readonly problem?: string;
}
