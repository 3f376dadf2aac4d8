/** The adapter: the tensors that a run has trained, in a file of their own; the base model stays unchanged. Its terms, file names and error. */

import { methods } from '../method/methods.ts';
import type { PartsDescription, TrainedParts } from '../method/trained-parts.ts';
import type { ConfigJson } from '../model/config-json.ts';
import { loadModel } from '../model/load-model.ts';
import type { AnyModel, Pooling, Problem } from '../model/model-spec.ts';

export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';
/** The file that PEFT wrote before 0.7. */
export const PEFT_TORCH_WEIGHTS = 'adapter_model.bin';
/** Written last: a folder that has it is a complete adapter. */
export const ADAPTER_DESCRIPTION = 'rowtune_adapter.json';
export const ADAPTER_VERSION = 1;

/** The model that an adapter belongs to. */
export interface AdapterBase {
  /** The base model as the recipe names it: a path or a name on the hub. */
  readonly source: string;
  readonly revision: string;
  /** `TensorSource.fingerprint()` of the base weights; absent in adapters of other tools, where nothing can be checked. */
  readonly fingerprint?: string;
  /** For example `LlamaForCausalLM`; absent in adapters of other tools. */
  readonly architecture?: string;
}

/** Everything but the trained numbers. */
export interface AdapterDescription extends PartsDescription {
  readonly base: AdapterBase;
  /** Updates that it was trained for, where the tool that wrote it says so. */
  readonly step?: number;
  /** The problem that a classifier's head solves. */
  readonly problem?: Problem;
  /** How an embedder makes the vector of a text. */
  readonly pooling?: Pooling;
  /** Pixels, height and width, of the images that a model was tuned for which takes images of any size. */
  readonly imageSize?: readonly [number, number];
  /** The label names of the data; of a classifier in the order of its outputs. */
  readonly labels?: readonly string[];
  /** For example `rowtune 0.1.0`; of an adapter of PEFT `peft` and its version. */
  readonly createdBy: string;
}

/**
 * An adapter on the disk; its numbers are read when they are asked for. Names of tensors:
 * trained in place `<parameter>`: all of it, its trained rows [r, …], columns [out, c] or elements [k], in the order of the description;
 * factors `<module>.lora_A.weight` [r, in] and `<module>.lora_B.weight` [out, r] (of convolutions as PEFT has them), of embeddings
 * `<module>.lora_embedding_A` [r, tokens] and `…_B` [features, r]; `<module>.lora_B.bias`, `<module>.lora_magnitude_vector` [out] (of
 * convolutions [1, out, 1, 1]);
 * `<module>.vera_lambda_d` [r] and `<module>.vera_lambda_b` [out].
 */
export interface Adapter extends TrainedParts {
  readonly dir: string;
  readonly description: AdapterDescription;
  /** The parameters of Transformers that an adapter of PEFT tunes; set on all of those, whose modules `fitAdapter` fits to a model. */
  readonly peftParameters?: ReadonlySet<string>;
  close(): Promise<void>;
}

/** The model that an adapter tunes: its base, with the head that it was trained with. @throws ModelConfigError */
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
/** Name of the int32 tensor that holds the places of a module's elements. */
export const elementsTensor = (module: string): string => `${module}.elements`;

const addedEnds = Object.values(methods).flatMap(({ added }) => added?.tensorEnds ?? []);
/** The longest first, since one may end another. */
const tensorEnds = [...new Set([...addedEnds, 'weight', 'bias'])].map(end => `.${end}`).sort((a, b) => b.length - a.length);

/** The module that a trained tensor belongs to. `model.norm.weight` → `model.norm`; `….q_proj.lora_A.weight` → `….q_proj`. */
export function moduleOf(tensor: string): string {
  const end = tensorEnds.find(each => tensor.endsWith(each));
  return end === undefined ? tensor : tensor.slice(0, -end.length);
}

/** An adapter that cannot be read, or does not belong to this model: all that is wrong, and what to do. */
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

/** Enough to see a pattern; a wrong base disagrees in every module. */
const MAX_PROBLEMS_SHOWN = 20;
