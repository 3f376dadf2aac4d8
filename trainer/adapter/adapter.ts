/**
 * The adapter: the tensors that a run has trained, in a file of their own; the base model does not change. Defines its types, file names
 * and error.
 */

import { methods } from '../method/methods.ts';
import type { PartsDescription, TrainedParts } from '../method/trained-parts.ts';
import type { ConfigJson } from '../model/config-json.ts';
import { loadModel } from '../model/load-model.ts';
import type { AnyModel, Problem } from '../model/model-spec.ts';
import type { Pooling } from '../protocol/pooling.ts';

export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';
/** The file that PEFT wrote before version 0.7. */
export const PEFT_TORCH_WEIGHTS = 'adapter_model.bin';
/** The description, written last: a folder that has it is a complete adapter. */
export const ADAPTER_DESCRIPTION = 'rowtune_adapter.json';
export const ADAPTER_VERSION = 1;

/** The model that an adapter belongs to. */
export interface AdapterBase {
  /** The base model as the recipe names it: a path or a name on the hub. */
  readonly source: string;
  readonly revision: string;
  /** `TensorSource.fingerprint()` of the base weights; missing in adapters of other tools, which cannot be checked. */
  readonly fingerprint?: string;
  /** The model class, for example `LlamaForCausalLM`; missing in adapters of other tools. */
  readonly architecture?: string;
}

/** Everything about an adapter except the trained values. */
export interface AdapterDescription extends PartsDescription {
  readonly base: AdapterBase;
  /** Number of updates that trained it, if the tool that wrote it recorded them. */
  readonly step?: number;
  /** The kind of problem that a classifier's head solves. */
  readonly problem?: Problem;
  /** How an embedder computes the vector of a text. */
  readonly pooling?: Pooling;
  /** Height and width in pixels of the images that the model was tuned for, if it accepts images of any size. */
  readonly imageSize?: readonly [number, number];
  /** The label names of the data; for a classifier, in the order of its outputs. */
  readonly labels?: readonly string[];
  /** The tool, for example `rowtune 0.1.0`; for an adapter of PEFT, `peft` and its version. */
  readonly createdBy: string;
}

/**
 * An adapter on disk; its values are read on demand. Names of tensors:
 * - trained in place, `<parameter>`: all of it, or its trained rows [r, …], columns [out, c] or elements [k], in the order of the
 *   description;
 * - factors: `<module>.lora_A.weight` [r, in] and `<module>.lora_B.weight` [out, r] (for convolutions as in PEFT), for embeddings
 *   `<module>.lora_embedding_A` [r, tokens] and `…_B` [features, r]; `<module>.lora_B.bias`, `<module>.lora_magnitude_vector` [out] (for
 *   convolutions [1, out, 1, 1]);
 * - `<module>.vera_lambda_d` [r] and `<module>.vera_lambda_b` [out].
 */
export interface Adapter extends TrainedParts {
  readonly dir: string;
  readonly description: AdapterDescription;
  /**
   * The parameters of Transformers that an adapter of PEFT tunes; set for every adapter of PEFT, whose modules `fitAdapter` adapts to a
   * model.
   */
  readonly peftParameters?: ReadonlySet<string>;
  close(): Promise<void>;
}

/** The model that an adapter tunes: its base, with the head that was trained. @throws ModelConfigError */
export const modelOfAdapter = (
  config: ConfigJson,
  { labels, problem, pooling, imageSize }: Pick<AdapterDescription, 'imageSize' | 'labels' | 'pooling' | 'problem'>,
): AnyModel =>
  loadModel(
    config,
    problem === undefined
      ? {}
      : {
          problem,
          ...(pooling && { pooling }),
          ...(imageSize && { imageSize }),
          ...(problem !== 'regression' && labels ? { labels } : {}),
        },
  );

/** Name of the int32 tensor that holds a module's rows. */
export const rowsTensor = (module: string): string => `${module}.rows`;
/** Name of the int32 tensor that holds a module's columns. */
export const columnsTensor = (module: string): string => `${module}.columns`;
/** Name of the int32 tensor that holds the positions of a module's elements. */
export const elementsTensor = (module: string): string => `${module}.elements`;

const addedEnds = Object.values(methods).flatMap(({ added }) => added?.tensorEnds ?? []);
/** The longest first, because one may be a suffix of another. */
const tensorEnds = [...new Set([...addedEnds, 'weight', 'bias'])].map(end => `.${end}`).sort((a, b) => b.length - a.length);

/** The module of a trained tensor: `model.norm.weight` → `model.norm`; `….q_proj.lora_A.weight` → `….q_proj`. */
export function moduleOf(tensor: string): string {
  const end = tensorEnds.find(each => tensor.endsWith(each));
  return end === undefined ? tensor : tensor.slice(0, -end.length);
}

/** Thrown for an adapter that cannot be read or does not belong to this model; lists all problems and how to fix them. */
export class AdapterError extends Error {
  override name = 'AdapterError';
  readonly problems: readonly string[];

  constructor(where: string, problems: readonly string[], remedy: string) {
    const shown = problems.slice(0, MAX_PROBLEMS_SHOWN);
    const more = problems.length > shown.length ? [`and ${problems.length - shown.length} more`] : [];
    const body = problems.length === 1 ? ` ${shown[0]}. ` : `${[...shown, ...more].map(line => `\n  - ${line}`).join('')}\n`;
    super(`the adapter ${where}:${body}${remedy}`);
    this.problems = problems;
  }
}

/** Maximum number of problems to list: enough to see a pattern; a wrong base disagrees in every module. */
const MAX_PROBLEMS_SHOWN = 20;
