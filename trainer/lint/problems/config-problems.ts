/**
 * Problems of a config in a model folder: unsupported, contradictory, or inconsistent with the files next to it; each is reported at its
 * key. Pure.
 */
import { didYouMean } from '../../catalog/did-you-mean.ts';
import { type ModelConfig, parseConfig } from '../../format/model-config.ts';
import { ModelFileError } from '../../format/model-file-error.ts';
import { asFilesHaveIt } from '../../hub/bare-model.ts';
import { absentConfigKeys, architectureOf, loadModel, supportedArchitectures, unknownConfigKeys } from '../../model/load-model.ts';
import { type AnyModel, type ConfigProblem, ModelConfigError } from '../../model/model-spec.ts';
import { supportedByName } from '../../model/unsupported-architecture.ts';
import { towerProblems, unknownProcessorKeys } from '../../model/vision/vision-encoders.ts';
import { type Located, locate, START } from '../../protocol/recipe/located.ts';
import type { ConfigKind } from '../document-kind.ts';
import type { FolderFacts } from '../facts/folder-facts.ts';
import { type AdapterBase, adapterProblems } from './adapter-problems.ts';
import type { ConfigReport } from './config-codes.ts';
import { generationProblems } from './generation-problems.ts';
import { atKey, type LintProblem } from './lint-problem.ts';
import { dtypeProblems, ropeProblems, tokenProblems } from './model-config-rules.ts';
import { weightProblems } from './weight-problems.ts';

export interface ConfigView {
  readonly text: string;
  readonly file: string;
  readonly kind: ConfigKind;
  readonly facts: FolderFacts;
  /** The base model of an adapter. */
  readonly base?: AdapterBase;
}

/** True for a config.json that describes a Hugging Face model; others are ignored. */
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
    case 'processor':
      return processorProblems(config, facts.config);
  }
}

function* modelProblems(config: ModelConfig, facts: FolderFacts, root: Located | undefined): Generator<ConfigReport> {
  const model = yield* readModel(asFilesHaveIt(config, facts.tensors), root);
  yield* encoderProblems(config, root);
  yield* unknownKeyProblems(unknownConfigKeys(config), absentConfigKeys(config));
  yield* folderProblems(facts);
  if (model !== undefined && facts.tensors !== undefined) yield* weightProblems(model, config, facts.tensors, facts.unreadTensors);
  if (facts.hasOwnHead && config.tie_word_embeddings === true)
    yield {
      code: 'config-weights-mismatch',
      severity: 'warning',
      path: ['tie_word_embeddings'],
      message: 'The weights contain a separate head, so it is not tied to the embedding',
      replaceBy: 'false',
    };
  yield* ropeProblems(config);
  yield* tokenProblems(config, config, facts.vocabulary);
  yield* dtypeProblems(config, facts.tensors);
}

function* readModel(config: ModelConfig, root: Located | undefined): Generator<ConfigReport, AnyModel | undefined> {
  try {
    return loadModel(config);
  } catch (error) {
    if (!(error instanceof ModelConfigError)) throw error;
    if (error.problems.length > 0) yield* error.problems.map(problem => keyReport(problem, root));
    else {
      const named = Array.isArray(config.architectures) ? config.architectures.map(String) : [];
      const to = supportedByName(named[0] ?? '', supportedArchitectures);
      // The file is valid, but this trainer does not support the architecture.
      yield {
        code: 'unsupported-architecture',
        severity: 'warning',
        path: named.length > 0 ? ['architectures', 0] : ['model_type'],
        message: error.message,
        replaceBy: to,
      };
    }
    return undefined;
  }
}

/** Problems of the encoder of images. They are warnings, since the model still learns from text. */
function* encoderProblems(config: ModelConfig, root: Located | undefined): Generator<ConfigReport> {
  const architecture = architectureOf(config);
  for (const problem of architecture ? towerProblems(architecture, config) : []) {
    const { message, ...report } = keyReport(problem, root);
    yield { ...report, severity: 'warning', message: `${message}; images cannot be read` };
  }
}

/** A report at the key; a missing key is reported at the class that needs it. */
function keyReport({ kind, path, message, meant }: ConfigProblem, root: Located | undefined): ConfigReport {
  const entries = root?.content.kind === 'map' ? root.content.entries : new Map();
  const [key = '', ...rest] = path;
  const found = [key, OLDER_KEYS[key]].find(name => name !== undefined && entries.has(name));
  return {
    code: kind === 'unsupported' ? 'unsupported-config' : 'contradictory-config',
    path: found === undefined ? ['architectures'] : [found, ...rest],
    message,
    replaceBy: meant,
  };
}

/** Older names of keys, which are read under the newer ones. */
const OLDER_KEYS: Readonly<Record<string, string>> = { rope_parameters: 'rope_scaling' };

/** Problems of the settings of a processor of images, by the config.json next to them. */
function processorProblems(settings: ModelConfig, config: ModelConfig | undefined): Iterable<ConfigReport> {
  const architecture = config && architectureOf(config);
  return architecture ? unknownKeyProblems(unknownProcessorKeys(architecture, settings)) : [];
}

/** Problems of keys that no family's table lists, so that their effect is unknown. @param absent known keys that may be meant */
function* unknownKeyProblems(paths: readonly string[][], absent: readonly string[] = []): Generator<ConfigReport> {
  for (const path of paths) {
    const [key = ''] = path;
    const meant = path.length === 1 ? didYouMean(key, absent) : undefined;
    const hint = meant === undefined ? '' : `; did you mean '${meant}'?`;
    yield {
      code: 'unknown-config-key',
      severity: 'warning',
      path,
      message: `Rowtune does not know the key '${path.join('.')}' for this kind of model and ignores it${hint}`,
      isKey: true,
      renameTo: meant,
    };
  }
}

function* folderProblems({ missingShards, damage }: FolderFacts): Generator<ConfigReport> {
  const [first] = missingShards;
  if (first !== undefined) {
    const more = missingShards.length === 1 ? '' : ` and ${missingShards.length - 1} more`;
    yield { code: 'missing-shard', path: [], message: `weight files are missing from this folder: ${first}${more}` };
  }
  if (damage !== undefined) yield { code: 'damaged-weights', path: [], message: damage };
}

/** Problems of missing files, each reported at its first tensor. */
function* indexProblems(index: ModelConfig, { missingShards }: FolderFacts): Generator<ConfigReport> {
  const map = index.weight_map;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    yield { code: 'invalid-config', path: ['weight_map'], message: 'weight_map (tensor → file) is missing' };
    return;
  }
  for (const shard of missingShards) {
    const tensors = Object.entries(map).flatMap(([name, file]) => (file === shard ? [name] : []));
    yield {
      code: 'missing-shard',
      path: ['weight_map', tensors[0] ?? ''],
      message: `${shard}, with ${tensors.length} tensors, is missing from this folder`,
    };
  }
}

/** The position in a JSON parser's message "at line 3, column 5". */
function placeInMessage(message: string): LintProblem['range'] {
  const place = /at line (\d+), column (\d+)/.exec(message);
  if (place === null) return START;
  const start = { line: Number(place[1]) - 1, column: Number(place[2]) - 1 };
  return { start, end: { line: start.line, column: start.column + 1 } };
}
