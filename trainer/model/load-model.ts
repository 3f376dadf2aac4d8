/** From a config.json to a model, and from a weight file's list of tensors to the certainty that it fits. */
import { llama } from './family/llama.ts';
import { llamaArchitectures, llamaConfig } from './family/llama-config.ts';
import { type CausalModel, ModelConfigError } from './model-spec.ts';

export const supportedArchitectures: readonly string[] = llamaArchitectures;

/** @throws ModelConfigError where the architecture is unknown or the config is wrong */
export function causalModel(config: Readonly<Record<string, unknown>>): CausalModel {
  const named = Array.isArray(config.architectures) ? config.architectures.map(String) : [];
  const architecture = named.find(name => llamaArchitectures.includes(name));
  if (!architecture)
    throw new ModelConfigError(
      `config.json names ${named.length ? `the architecture ${named.join(', ')}` : 'no architecture'}; supported are ${supportedArchitectures.join(', ')}`,
    );
  return llama(llamaConfig(architecture as Parameters<typeof llamaConfig>[0], config));
}

/**
 * Compares what a model needs with what its weight file holds.
 * @returns every mismatch as a sentence; an empty list means that it fits
 */
export function weightMismatches(model: CausalModel, tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>): string[] {
  return model.parameters.flatMap(({ name, shape }) => {
    const found = tensors.get(name);
    if (!found) return [`${name} [${shape}] is missing`];
    return found.shape.join() === shape.join() ? [] : [`${name} is [${found.shape}] in the file, [${shape}] by config.json`];
  });
}
