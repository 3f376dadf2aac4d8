/** Describes a tuned classifier as a folder of its own: the content of config.json, and the parameter names of its class. */

import type { ModelConfig } from '../../format/model-config.ts';
import { type Architecture, headedClass } from '../../model/architectures.ts';
import { architectureOf, loadModel } from '../../model/load-model.ts';
import { type AnyModel, type ClassifierModel, chosenSize, type Problem } from '../../model/model-spec.ts';
import type { ParameterSpec } from '../../model/module-specs.ts';
import { isRecord } from '../../narrow.ts';

export interface ClassifierForm {
  readonly config: ModelConfig;
  /** The name of each parameter in the model → its name in the folder. */
  readonly names: ReadonlyMap<string, string>;
}

/** The form of a classifier. A base without a head becomes the class of its family that has one; undefined if there is none. */
export function withHead(model: AnyModel, config: ModelConfig): ClassifierForm | undefined {
  const named = newClass(model, config);
  if (model.kind !== 'classifier' || named === undefined) return undefined;
  const changed = { ...config, architectures: [named], ...labelKeys(model, { architectures: [named] }), ...padKey(model, config) };
  const parameters = writtenParameters(loadModel(changed));
  const own = writtenParameters(model);
  // Both classes must have the same layers in the same order; only the prefixes of their names differ.
  const isSame = parameters.every(({ shape }, i) => shape.join() === own[i]?.shape.join());
  if (!isSame || parameters.length !== own.length) return undefined;
  return { config: changed, names: new Map(own.map(({ name }, i) => [name, parameters[i]?.name ?? name])) };
}

/** The parameters that a folder of the model has. */
export const writtenParameters = ({ parameters, carried = [] }: AnyModel): readonly ParameterSpec[] => [...parameters, ...carried];

/** The padding id: a decoder needs it in config.json to find the last token of a padded text. */
function padKey({ input, encoder }: ClassifierModel, { pad_token_id: given }: ModelConfig): ModelConfig {
  return input.kind === 'image' || encoder || typeof given === 'number' ? {} : { pad_token_id: input.padId };
}

/** The class of a tuned model, if it differs from the base's. */
export function newClass(model: AnyModel, config: ModelConfig): Architecture | undefined {
  const architecture = architectureOf(config);
  if (model.kind !== 'classifier' || model.pooling || architecture === undefined) return undefined;
  const named = headedClass(architecture, model.problem);
  return named === architecture ? undefined : named;
}

/** The value of `problem_type`; classes that label tokens do not read it. */
const PROBLEM_TYPES: Readonly<Record<Problem, string | undefined>> = {
  single_label: 'single_label_classification',
  multi_label: 'multi_label_classification',
  regression: 'regression',
  token_label: undefined,
  embedding: undefined,
};

/** The labels of the task under the keys of config.json: those of Transformers, of timm, or both. */
export function labelKeys({ labels, problem }: ClassifierModel, config: ModelConfig): ModelConfig {
  const named = labels.map((name, i) => [String(i), name] as const);
  const transformers = {
    id2label: Object.fromEntries(named),
    label2id: Object.fromEntries(named.map(([i, name]) => [name, Number(i)])),
    num_labels: labels.length,
    problem_type: PROBLEM_TYPES[problem],
  };
  const { model_args: args } = config;
  // timm builds the model from these arguments, which may include the number of classes.
  const ofArguments = isRecord(args) && 'num_classes' in args ? { model_args: { ...args, num_classes: labels.length } } : {};
  return {
    ...(Array.isArray(config.architectures) ? transformers : {}),
    ...(isTimm(config) ? { num_classes: labels.length, label_names: labels, ...ofArguments } : {}),
  };
}

/** The image size with which the model was tuned, in timm's format; undefined if config.json has the same size or the model has none. */
export function sizeKeys(model: AnyModel, config: ModelConfig): ModelConfig | undefined {
  const { pretrained_cfg: trained } = config;
  const size = model.kind === 'classifier' ? chosenSize(model.input) : undefined;
  if (size === undefined || !isTimm(config) || !isRecord(trained)) return undefined;
  const [channels = 3, ...sides]: readonly unknown[] = Array.isArray(trained.input_size) ? trained.input_size : [];
  return sides.join() === size.join() ? undefined : { pretrained_cfg: { ...trained, input_size: [channels, ...size] } };
}

export const isTimm = ({ architecture }: ModelConfig): boolean => typeof architecture === 'string';
