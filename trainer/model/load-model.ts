/** Builds a model from a config.json, and checks that the tensors of a weight file fit it. */

import { type Architecture, architectureOfType, architectures, headedClass } from './architectures.ts';
import type { ConfigJson, ModelOptions } from './config-json.ts';
import { unknownKeys } from './config-keys.ts';
import { embedder, HEADLESS } from './embedder.ts';
import type { ArchitectureEntry } from './family/architecture-entry.ts';
import { unknownQuantizationKeys } from './family/decoder/keys/quantization-keys.ts';
import { unknownRopeKeys } from './family/decoder/keys/rope-config.ts';
import { isTextPart, unknownTextKeys } from './family/decoder/text-part.ts';
import { siglipKeys, unknownTowerKeys } from './family/image/siglip-config.ts';
import { timm } from './family/image/timm.ts';
import { timmKeys } from './family/image/timm-params.ts';
import { type AnyModel, type CausalModel, type Model, ModelConfigError } from './model-spec.ts';
import { stackMismatches } from './stored-form.ts';
import { unsupportedArchitecture } from './unsupported-architecture.ts';
import { unknownVisionKeys } from './vision/vision-encoders.ts';

export const supportedArchitectures: readonly string[] = Object.keys(architectures);

/** @throws ModelConfigError if the architecture is unknown or the config is wrong */
export function loadModel(config: ConfigJson, options: ModelOptions = {}): AnyModel {
  if (isTimmFile(config)) return timm('', config, options);
  const architecture = architectureOf(config);
  const named = namesIn(config);
  if (!architecture) throw new ModelConfigError(unsupportedArchitecture(named, config, supportedArchitectures));
  const { build, withoutHead = json => build(json, HEADLESS) }: ArchitectureEntry = architectures[architecture];
  if (options.problem === 'embedding') return embedder(withoutHead(config), options.pooling);
  const model = build(config, options);
  if (model.kind !== 'causal') return model;
  if (predictsTokens(model)) return { ...model, takesScoreHead: headedClass(architecture, 'regression') !== architecture };
  if (options.problem === undefined && options.labels === undefined) return embedder(model);
  throw new ModelConfigError(`this ${model.family} (${architecture}) gives vectors of texts alone, and takes no head here`);
}

const predictsTokens = ({ isBidirectional, hasNoHead }: CausalModel): boolean => !(isBidirectional || hasNoHead);

/** True for timm's own files: they have one architecture instead of a list. */
export const isTimmFile = ({ architecture, architectures: named }: ConfigJson): boolean =>
  typeof architecture === 'string' && named === undefined;

/** Returns the keys of this config that its family does not list, so their meaning is unknown; empty for an unknown family. */
export function unknownConfigKeys(config: ConfigJson): string[][] {
  const architecture = architectureOf(config);
  const keys = keyTableOf(config);
  if (keys === undefined) return [];
  return [
    ...unknownKeys(keys, config).map(key => [key]),
    ...unknownQuantizationKeys(config),
    ...('rope_scaling' in keys ? unknownRopeKeys(config) : []),
    ...(keys === siglipKeys ? unknownTowerKeys(config) : []),
    ...(isTextPart(architecture) ? unknownTextKeys(architecture, config) : []),
    ...(architecture ? unknownVisionKeys(architecture, config) : []),
  ];
}

/** Returns the keys that the family of a config lists and the config does not have; empty for an unknown family. */
export const absentConfigKeys = (config: ConfigJson): string[] =>
  Object.keys(keyTableOf(config) ?? {}).filter(key => !Object.hasOwn(config, key));

function keyTableOf(config: ConfigJson): ArchitectureEntry['keys'] | undefined {
  if (isTimmFile(config)) return timmKeys;
  const architecture = architectureOf(config);
  const entry: Pick<ArchitectureEntry, 'keys'> | undefined = architecture && architectures[architecture];
  return entry?.keys;
}

/** Returns the first supported architecture that a config names; if it names none, the one of its `model_type`. */
export function architectureOf(config: ConfigJson): Architecture | undefined {
  const named = namesIn(config);
  return named.find(isSupported) ?? (named.length === 0 ? architectureOfType[String(config.model_type)] : undefined);
}

/** True for equal shapes; ConvNeXt V2 stores a norm of channels as [1, 1, 1, channels], and Apertus a number without an axis. */
const isSameShape = (inFile: readonly number[], shape: readonly number[]): boolean =>
  inFile.join() === shape.join() || (shape.length === 1 && (inFile.at(-1) ?? 1) === shape[0] && inFile.slice(0, -1).every(d => d === 1));

const namesIn = ({ architectures: named }: ConfigJson): string[] => (Array.isArray(named) ? named.map(String) : []);

const isSupported = (name: string): name is Architecture => Object.hasOwn(architectures, name);

/** @throws ModelConfigError also if the model does not predict next tokens */
export function causalModel(config: ConfigJson): CausalModel {
  const model = loadModel(config);
  if (model.kind === 'causal') return model;
  const does = model.problem === 'embedding' ? 'gives vectors' : 'classifies';
  throw new ModelConfigError(
    `config.json describes a model of the family ${model.family}, which ${does}; this needs a model that predicts the next token`,
  );
}

/**
 * Compares a model's parameters with the tensors of its weight file.
 * @returns every mismatch as a sentence; empty if the file fits
 */
export function weightMismatches(model: Model, tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>): string[] {
  return model.parameters.flatMap(spec => {
    const { name, shape, initial, usual } = spec;
    const stacked = stackMismatches(spec, tensors);
    if (stacked) return stacked;
    const found = tensors.get(name);
    if (initial) return [];
    if (!found) return usual ? [] : [`${name} [${shape}] is missing`];
    return isSameShape(found.shape, shape) ? [] : [`${name} is [${found.shape}] in the file, [${shape}] by config.json`];
  });
}
