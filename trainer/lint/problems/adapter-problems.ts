/** Problems of PEFT's adapter_config.json: unsupported kinds, and ranks or targets that contradict the base or the factors. Pure. */

import { changesBase, PEFT_TYPES, UNSUPPORTED_SWITCHES } from '../../adapter/read-peft.ts';
import { didYouMean } from '../../catalog/did-you-mean.ts';
import type { ModelConfig } from '../../format/model-config.ts';
import { parameterInMemory } from '../../method/peft-form.ts';
import { nameInFile, nameInMemory, possibleNames, withoutBase } from '../../method/peft-names.ts';
import { moduleNames } from '../../method/targets.ts';
import type { Model } from '../../model/model-spec.ts';
import { isExperts } from '../../model/module-specs.ts';
import { isRecord } from '../../narrow.ts';
import type { FolderFacts, Tensors } from '../facts/folder-facts.ts';
import type { ConfigReport } from './config-codes.ts';
import { mostRank } from './most-rank.ts';

/** The model that an adapter names, if it is on this machine. */
export interface AdapterBase {
  /** Whether the path does not exist; a hub name that was not downloaded does not count. */
  readonly isMissing: boolean;
  readonly suggestion?: string;
  readonly model?: Model;
}

export function* adapterProblems(config: ModelConfig, facts: FolderFacts, base: AdapterBase | undefined): Generator<ConfigReport> {
  const { peft_type: type, r, lora_alpha: alpha } = config;
  if (typeof type !== 'string' || !PEFT_TYPES.includes(type.toUpperCase())) {
    const message =
      type === undefined ? 'peft_type is missing' : `adapters of type ${String(type)} are not supported; use ${PEFT_TYPES.join(' or ')}`;
    yield { code: 'unsupported-adapter', severity: 'warning', path: ['peft_type'], message };
    return;
  }
  for (const key of UNSUPPORTED_SWITCHES)
    if (isOn(config[key]))
      yield {
        code: 'unsupported-adapter',
        severity: 'warning',
        path: [key],
        message: `${key} is not supported; merge this adapter with PEFT`,
      };
  if (changesBase(config.init_lora_weights))
    yield {
      code: 'unsupported-adapter',
      severity: 'warning',
      path: ['init_lora_weights'],
      message: `${config.init_lora_weights} also changes the base weights, which is not supported; save the adapter as plain LoRA, or merge it with PEFT`,
    };
  if (typeof config.bias === 'string' && config.bias !== 'none')
    yield {
      code: 'unsupported-adapter',
      severity: 'warning',
      path: ['bias'],
      message: `trained biases (${config.bias}) are not supported; merge this adapter with PEFT`,
    };
  if (!Number.isInteger(r) || Number(r) < 1)
    yield { code: 'adapter-range', path: ['r'], message: `r must be a whole number ≥ 1, not ${JSON.stringify(r) ?? 'missing'}` };
  // VeRA has no scale.
  if (type.toUpperCase() === 'LORA' && typeof alpha !== 'number')
    yield {
      code: 'adapter-range',
      path: ['lora_alpha'],
      message: `lora_alpha must be a number, not ${JSON.stringify(alpha) ?? 'missing'}`,
    };
  else if (typeof alpha === 'number' && alpha <= 0)
    yield {
      code: 'adapter-range',
      severity: 'warning',
      path: ['lora_alpha'],
      message: `lora_alpha is ${alpha}: the adapter has no effect, or the opposite one`,
    };
  const dropout = config.lora_dropout;
  if (typeof dropout === 'number' && (dropout < 0 || dropout >= 1))
    yield { code: 'adapter-range', path: ['lora_dropout'], message: `lora_dropout must be at least 0 and below 1, not ${dropout}` };
  if (base?.isMissing === true) {
    const hint = base.suggestion === undefined ? '' : `; did you mean '${base.suggestion}'?`;
    const message = `there is no model at this path${hint}`;
    yield { code: 'adapter-base-missing', severity: 'warning', path: ['base_model_name_or_path'], message, replaceBy: base.suggestion };
  }
  if (base?.model !== undefined) yield* targetProblems(config, base.model);
  yield* factorProblems(config, facts);
}

const isOn = (value: unknown): boolean =>
  value !== undefined && value !== null && value !== false && !(Array.isArray(value) && value.length === 0);

function* targetProblems(config: ModelConfig, model: Model): Generator<ConfigReport> {
  const { target_modules: targets, r } = config;
  const isOf = (name: string, target: string): boolean => name === target || name.endsWith(`.${target}`);
  // A class with a head has the name of the model without one before its names.
  const isShorter = (name: string, target: string): boolean => name === withoutBase(nameInFile(target));
  const named = (target: string) =>
    model.modules.filter(module => possibleNames(module).some(each => isOf(each, target)) || isShorter(module.name, target));
  const entries: readonly (readonly [(string | number)[], unknown])[] = Array.isArray(targets)
    ? targets.map((target, i) => [['target_modules', i], target] as const)
    : [];
  // Individual experts, as in Transformers 4.
  const ofExperts = new Set(model.modules.filter(isExperts).map(({ name }) => name));
  const matched = new Set(entries.flatMap(([, target]) => named(String(target))));
  for (const [path, target] of entries) {
    if (typeof target !== 'string' || named(target).length > 0) continue;
    const near = didYouMean(target, moduleNames(model));
    const hint = near === undefined ? '' : `; did you mean '${near}'?`;
    yield { code: 'unknown-module', path, message: `'${target}' matches nothing in this ${model.family}${hint}`, replaceBy: near };
  }
  yield* parameterProblems(config, model);
  if (typeof r !== 'number') return;
  const small = [...matched].filter(({ name, weight: { shape } }) => !ofExperts.has(name) && mostRank(shape) < r);
  const [first] = small;
  if (first !== undefined)
    yield {
      code: 'rank-above-layer',
      severity: 'warning',
      path: ['r'],
      message: `r (${r}) is larger than the possible rank of ${small.length} weights, for example ${first.name} [${first.weight.shape}]`,
    };
}

/** Problems of parameters that PEFT targets and the base lacks, with names as in the memory of Transformers. */
function* parameterProblems({ target_parameters: targets }: ModelConfig, model: Model): Generator<ConfigReport> {
  const parameters = model.modules.map(module => nameInMemory(parameterInMemory(module)));
  for (const [i, target] of (Array.isArray(targets) ? targets : []).entries()) {
    if (typeof target !== 'string' || parameters.some(name => name === target || name.endsWith(`.${target}`))) continue;
    const near = didYouMean(target, [...new Set(parameters.map(name => name.split('.').slice(-2).join('.')))]);
    const hint = near === undefined ? '' : `; did you mean '${near}'?`;
    const message = `'${target}' is not a parameter of this ${model.family}${hint}`;
    yield { code: 'unknown-module', path: ['target_parameters', i], message, replaceBy: near };
  }
}

/** Prefixes of the names of trained tensors, one per PEFT type: lora_A, vera_lambda_b, shira_weight. */
const FACTORS = PEFT_TYPES.map(type => `${type.toLowerCase()}_`);

/** Compares the config with the factors in the file next to it. */
function* factorProblems(config: ModelConfig, { adapterTensors, hasAdapterWeights }: FolderFacts): Generator<ConfigReport> {
  const report = (path: (string | number)[], message: string): ConfigReport => ({ code: 'adapter-weights-mismatch', path, message });
  if (!hasAdapterWeights) {
    yield report(['peft_type'], 'adapter_model.safetensors is missing from this folder');
    return;
  }
  if (adapterTensors === undefined) {
    yield report(['peft_type'], 'adapter_model.safetensors is damaged');
    return;
  }
  const hasPattern = isRecord(config.rank_pattern) && Object.keys(config.rank_pattern).length > 0;
  const ranks = [...new Set(ranksOf(adapterTensors))];
  if (!hasPattern && ranks.length > 0 && typeof config.r === 'number' && !(ranks.length === 1 && ranks[0] === config.r))
    yield {
      ...report(['r'], `the factors have rank ${ranks.sort((a, b) => a - b).join(', ')}, but this file says ${config.r}`),
      replaceBy: ranks.length === 1 ? String(ranks[0]) : undefined,
    };
  const targets = config.target_modules;
  if (!Array.isArray(targets)) return;
  const names = [...adapterTensors.keys()];
  for (const [i, target] of targets.entries())
    if (!names.some(name => FACTORS.some(part => name.includes(`.${String(target)}.${part}`))))
      yield report(['target_modules', i], `adapter_model.safetensors has no factors for '${String(target)}'`);
}

/** Matches factors of experts, whose tensor contains a rank for each expert. */
const OF_EXPERTS = /\.experts(?:\.base_layer)*\.lora_A\./;
const ranksOf = (tensors: Tensors): number[] =>
  [...tensors].flatMap(([name, { shape }]) => (/\.lora_A\.(?:\w+\.)?weight$/.test(name) && !OF_EXPERTS.test(name) ? [shape[0] ?? 0] : []));
