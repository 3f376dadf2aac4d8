/** What is wrong with a model's config.json: unsupported, contradictory, or at odds with the weights beside it; each at its key. */
import { parseConfig } from '../hub/model-config.ts';
import { ModelFileError } from '../hub/model-file-error.ts';
import { causalModel, supportedArchitectures, weightMismatches } from '../model/load-model.ts';
import { type CausalModel, ModelConfigError } from '../model/model-spec.ts';
import { didYouMean } from '../protocol/did-you-mean.ts';
import type { Severity } from '../protocol/problem.ts';
import { follow, type Located, locate, START } from '../protocol/recipe/located.ts';
import type { LintProblem } from './recipe-view.ts';

export const configCodes = ['invalid-config', 'unsupported-architecture', 'contradictory-config', 'config-weights-mismatch'] as const;
export type ConfigCode = (typeof configCodes)[number];

/** Name and shape of each tensor of the weight file; undefined where it can't be read or there is none. */
export type Tensors = ReadonlyMap<string, { readonly shape: readonly number[] }>;

/** True for a config.json that describes a language model of Hugging Face's kind; others are none of our business. */
export const isModelConfig = (text: string): boolean => /"(?:architectures|model_type)"\s*:/.test(text);

export function configProblems(text: string, file: string, tensors: Tensors | undefined): LintProblem[] {
  const { root } = locate(text);
  const at = (code: ConfigCode, key: readonly (string | number)[], message: string, severity: Severity = 'error'): LintProblem => ({
    code,
    severity,
    message,
    path: key,
    range: placeOf(root, key),
  });
  let config: ReturnType<typeof parseConfig>;
  try {
    config = parseConfig(file, text);
  } catch (error) {
    const message = error instanceof ModelFileError ? (error.problems[0]?.message ?? error.message) : String(error);
    return [{ ...at('invalid-config', [], message), range: placeInMessage(message) }];
  }
  let model: CausalModel;
  try {
    model = causalModel(config);
  } catch (error) {
    if (!(error instanceof ModelConfigError)) throw error;
    const named = Array.isArray(config.architectures) ? config.architectures.map(String) : [];
    if (named.some(name => supportedArchitectures.includes(name))) return contradictions(error.message, root, at);
    const to = didYouMean(named[0] ?? '', supportedArchitectures);
    const hint = to === undefined ? '' : `; did you mean ${to}?`;
    // Nothing is wrong with the file: this trainer does not know the architecture.
    return [at('unsupported-architecture', named.length > 0 ? ['architectures', 0] : ['model_type'], `${error.message}${hint}`, 'warning')];
  }
  return tensors === undefined ? [] : mismatches(model, tensors).map(({ key, message }) => at('config-weights-mismatch', [key], message));
}

type At = (code: ConfigCode, key: readonly (string | number)[], message: string) => LintProblem;

/** One problem for each part of the message, at the first key of the file that it names. */
function contradictions(message: string, root: Located | undefined, at: At): LintProblem[] {
  const keys = root?.content.kind === 'map' ? [...root.content.entries.keys()] : [];
  const parts = message.replace(/^config\.json (?:contradicts itself|does not describe a \w+): /, '').split('; ');
  return parts.map(part => {
    const words = part.match(/\w+/g) ?? [];
    const key =
      words.find(word => keys.includes(word)) ??
      (part.startsWith('rope scaling') ? keys.find(name => name.startsWith('rope_')) : undefined);
    return at('contradictory-config', key === undefined ? ['architectures'] : [key], part);
  });
}

/** Which key decides a dimension of a tensor, by the end of its name: [rows, columns]. */
const dimensionKeys: readonly (readonly [RegExp, readonly [string, string]])[] = [
  [/(?:embed_tokens|lm_head)\.weight$/, ['vocab_size', 'hidden_size']],
  [/q_proj\.(?:weight|bias)$/, ['num_attention_heads', 'hidden_size']],
  [/[kv]_proj\.(?:weight|bias)$/, ['num_key_value_heads', 'hidden_size']],
  [/o_proj\.weight$/, ['hidden_size', 'num_attention_heads']],
  [/(?:gate|up)_proj\.(?:weight|bias)$/, ['intermediate_size', 'hidden_size']],
  [/down_proj\.weight$/, ['hidden_size', 'intermediate_size']],
  [/./, ['hidden_size', 'hidden_size']],
];

function mismatches(model: CausalModel, tensors: Tensors): { key: string; message: string }[] {
  const byKey = new Map<string, string[]>();
  const add = (key: string, message: string) => byKey.set(key, [...(byKey.get(key) ?? []), message]);
  const wrong = new Set(weightMismatches(model, tensors).map(message => message.slice(0, message.indexOf(' '))));
  for (const { name, shape } of model.parameters) {
    if (!wrong.has(name)) continue;
    const found = tensors.get(name)?.shape;
    if (found === undefined) add(missingKey(name), `${name} [${shape}] is missing in the weights`);
    else add(keyOf(name, shape, found), `${name} is [${found}] in the weights, [${shape}] by this file`);
  }
  const blocks = blocksOf(tensors);
  if (blocks > model.blocks) add('num_hidden_layers', `the weights hold ${blocks} blocks, this file says ${model.blocks}`);
  return [...byKey].map(([key, [first = '', ...more]]) => ({
    key,
    message: more.length === 0 ? first : `${first}, and ${more.length} more`,
  }));
}

function keyOf(name: string, wanted: readonly number[], found: readonly number[]): string {
  const [, keys] = dimensionKeys.find(([pattern]) => pattern.test(name)) ?? [undefined, ['hidden_size', 'hidden_size'] as const];
  return wanted[0] === found[0] ? keys[1] : keys[0];
}

function missingKey(name: string): string {
  if (name.startsWith('lm_head')) return 'tie_word_embeddings';
  if (name.endsWith('.bias')) return 'attention_bias';
  return /\.layers\.\d+\./.test(name) ? 'num_hidden_layers' : 'architectures';
}

function blocksOf(tensors: Tensors): number {
  let most = -1;
  for (const name of tensors.keys()) most = Math.max(most, Number(/\.layers\.(\d+)\./.exec(name)?.[1] ?? -1));
  return most + 1;
}

function placeOf(root: Located | undefined, key: readonly (string | number)[]): LintProblem['range'] {
  if (root === undefined) return START;
  const { found, complete } = follow(root, key);
  if (complete) return found.range;
  const first = root.content.kind === 'map' ? root.content.entries.get('architectures') : undefined;
  return first?.keyRange ?? START;
}

/** The reader of JSON says "at line 3, column 5". */
function placeInMessage(message: string): LintProblem['range'] {
  const place = /at line (\d+), column (\d+)/.exec(message);
  const start = { line: Number(place?.[1] ?? 1) - 1, column: Number(place?.[2] ?? 1) - 1 };
  return { start, end: { line: start.line, column: start.column + 1 } };
}
