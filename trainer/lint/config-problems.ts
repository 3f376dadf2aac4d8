/** What is wrong with a config of a model folder: unsupported, contradictory, or at odds with the files beside it; each at its key. Pure. */
import { type ModelConfig, parseConfig } from '../hub/model-config.ts';
import { ModelFileError } from '../hub/model-file-error.ts';
import { loadModel, supportedArchitectures } from '../model/load-model.ts';
import { type Model, ModelConfigError } from '../model/model-spec.ts';
import { didYouMean } from '../protocol/did-you-mean.ts';
import { type Located, locate, START } from '../protocol/recipe/located.ts';
import { type AdapterBase, adapterProblems } from './adapter-problems.ts';
import type { ConfigReport } from './config-codes.ts';
import type { ConfigKind } from './document-kind.ts';
import type { FolderFacts } from './folder-facts.ts';
import { generationProblems } from './generation-problems.ts';
import { atKey, type LintProblem } from './lint-problem.ts';
import { dtypeProblems, ropeProblems, tokenProblems } from './model-config-rules.ts';
import { weightProblems } from './weight-problems.ts';

export interface ConfigView {
  readonly text: string;
  readonly file: string;
  readonly kind: ConfigKind;
  readonly facts: FolderFacts;
  /** Of an adapter: the model that it belongs to. */
  readonly base?: AdapterBase;
}

/** True for a config.json that describes a model of Hugging Face's kind; others are none of our business. */
const isModelConfig = (text: string): boolean => /"(?:architectures|model_type)"\s*:/.test(text);

export function configProblems(view: ConfigView): LintProblem[] {
  const { text, file, kind } = view;
  if (kind === 'config' && !isModelConfig(text)) return [];
  const { root } = locate(text);
  let config: ModelConfig;
  try {
    config = parseConfig(file, text);
  } catch (error) {
    if (!(error instanceof ModelFileError)) throw error;
    const message = error.problems[0]?.message ?? error.message;
    return [{ code: 'invalid-config', severity: 'error', message, path: [], range: placeInMessage(message) }];
  }
  return [...reports(view, config, root)].map(report => atKey(root, report));
}

function reports({ kind, facts, base }: ConfigView, config: ModelConfig, root: Located | undefined): Iterable<ConfigReport> {
  switch (kind) {
    case 'config':
      return modelProblems(config, facts, root);
    case 'generation':
      return generationProblems(config, facts.config);
    case 'adapter':
      return adapterProblems(config, facts, base);
    case 'index':
      return indexProblems(config, facts);
  }
}

function* modelProblems(config: ModelConfig, facts: FolderFacts, root: Located | undefined): Generator<ConfigReport> {
  const model = yield* readModel(config, root);
  yield* folderProblems(facts);
  if (model !== undefined && facts.tensors !== undefined) yield* weightProblems(model, config, facts.tensors);
  yield* ropeProblems(config);
  yield* tokenProblems(config, config, facts.vocabularySize);
  yield* dtypeProblems(config, facts.tensors);
}

function* readModel(config: ModelConfig, root: Located | undefined): Generator<ConfigReport, Model | undefined> {
  try {
    return loadModel(config);
  } catch (error) {
    if (!(error instanceof ModelConfigError)) throw error;
    const named = Array.isArray(config.architectures) ? config.architectures.map(String) : [];
    if (named.some(name => supportedArchitectures.includes(name))) yield* contradictions(error.message, root);
    else {
      const to = didYouMean(named[0] ?? '', supportedArchitectures);
      // Nothing is wrong with the file: this trainer does not know the architecture.
      yield {
        code: 'unsupported-architecture',
        severity: 'warning',
        path: named.length > 0 ? ['architectures', 0] : ['model_type'],
        message: `${error.message}${to === undefined ? '' : `; did you mean ${to}?`}`,
        replaceBy: to,
      };
    }
    return undefined;
  }
}

/** What a list of contradictions begins with; other messages are one problem. */
const LIST = /^config\.json (?:contradicts itself|does not describe an? \w+): /;

/** One problem for each part of the message, at the first key of the file that it names. */
function* contradictions(message: string, root: Located | undefined): Generator<ConfigReport> {
  const entries = root?.content.kind === 'map' ? root.content.entries : new Map<string, Located>();
  for (const part of LIST.test(message) ? message.replace(LIST, '').split('; ') : [message]) {
    const words: string[] = part.match(/\w+/g) ?? [];
    if (/head size/.test(part)) words.unshift('head_dim');
    if (/^rope scaling/.test(part)) words.unshift('rope_scaling', 'rope_parameters');
    const key = words.find(word => entries.has(word));
    const inner = key === undefined ? undefined : entries.get(key)?.content;
    const step = inner?.kind === 'map' ? [...words, 'rope_type', 'type'].find(word => inner.entries.has(word)) : undefined;
    yield { code: 'contradictory-config', path: [key ?? 'architectures', ...(step === undefined ? [] : [step])], message: part };
  }
}

function* folderProblems({ missingShards, damage }: FolderFacts): Generator<ConfigReport> {
  const [first] = missingShards;
  if (first !== undefined) {
    const more = missingShards.length === 1 ? '' : ` and ${missingShards.length - 1} more`;
    yield { code: 'missing-shard', path: [], message: `a part of the weights is missing in this folder: ${first}${more}` };
  }
  if (damage !== undefined) yield { code: 'damaged-weights', path: [], message: damage };
}

/** On the first tensor of each missing file. */
function* indexProblems(index: ModelConfig, { missingShards }: FolderFacts): Generator<ConfigReport> {
  const map = index.weight_map;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    yield { code: 'invalid-config', path: ['weight_map'], message: 'an index has a weight_map: tensor → file' };
    return;
  }
  for (const shard of missingShards) {
    const tensors = Object.entries(map).flatMap(([name, file]) => (file === shard ? [name] : []));
    yield {
      code: 'missing-shard',
      path: ['weight_map', tensors[0] ?? ''],
      message: `${shard} is not in this folder, with ${tensors.length} tensors`,
    };
  }
}

/** The reader of JSON says "at line 3, column 5". */
function placeInMessage(message: string): LintProblem['range'] {
  const place = /at line (\d+), column (\d+)/.exec(message);
  if (place === null) return START;
  const start = { line: Number(place[1]) - 1, column: Number(place[2]) - 1 };
  return { start, end: { line: start.line, column: start.column + 1 } };
}
