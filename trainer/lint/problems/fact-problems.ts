/** Problems of a recipe that depend on its model, its data and this machine. Pure: the facts are passed in. */

import { cardCatalog } from '../../catalog/cards.ts';
import { defaultMeasure, measureCatalog, measureWithoutLabels } from '../../catalog/measures.ts';
import { methodCatalog } from '../../catalog/methods.ts';
import { type ObjectiveName, objectiveCatalog, objectivesOf, objectivesOfScoreHead } from '../../catalog/objectives.ts';
import { matchesAny, moduleNames, TargetError, type TargetSettings, targetModules } from '../../method/targets.ts';
import { type AnyModel, type Model, takesSize } from '../../model/model-spec.ts';
import type { ModuleSpec } from '../../model/module-specs.ts';
import type { RecipeEstimate } from '../../plan/memory/predict.ts';
import { attachFirst } from '../../plan/run-plan.ts';
import { classBalanceProblem } from '../../protocol/class-balance.ts';
import { didYouMean } from '../../protocol/did-you-mean.ts';
import { byteSize } from '../../protocol/format.ts';
import { describeImbalance } from '../../protocol/judgment-balance.ts';
import type { Severity, Suggestion } from '../../protocol/problem.ts';
import { follow, START } from '../../protocol/recipe/located.ts';
import type { Recipe } from '../../protocol/recipe-schema.ts';
import { SelectionError } from '../../selection.ts';
import { methodSettings } from '../../train/recipe-settings.ts';
import { type ModelFacts, positionsOf } from '../facts/model-facts.ts';
import { idsWithoutRow } from '../facts/vocabulary.ts';
import type { RecipeView } from '../recipe-view.ts';
import { behindRandom } from './behind-random.ts';
import type { LintProblem } from './lint-problem.ts';
import { mostRank } from './most-rank.ts';

/** The codes of this file, in the order of the checks. */
export const factCodes = [
  'model-not-found',
  'unsupported-model',
  'unreadable-model',
  'model-mismatch',
  'vocabulary-mismatch',
  'task-for-model',
  'image-size',
  'unknown-module',
  'nothing-to-train',
  'rank-above-layer',
  'length-above-positions',
  'data-not-found',
  'unreadable-data',
  'bad-sample',
  'unknown-column',
  'one-label',
  'unknown-label',
  'same-texts',
  'one-judgment',
  'unbalanced-judgments',
  'labels-for-measure',
  'measure-behind-random',
  'output-not-empty',
  'output-unusable',
  'memory-above-free',
  'offload-without-gpu',
] as const;

export type FactCode = (typeof factCodes)[number];

interface Report {
  readonly code: FactCode;
  readonly severity?: Severity;
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly replaceBy?: string;
  readonly related?: LintProblem['related'];
}

export function factProblems(view: RecipeView): LintProblem[] {
  const reports = [
    ...modelProblems(view),
    ...dataProblems(view),
    ...labelProblems(view),
    ...sameTextProblems(view),
    ...outputProblems(view),
    ...memoryProblems(view),
    ...offloadProblems(view),
  ];
  return elsewhere(view, reports).map(report => place(view, report));
}

/** Files that may be missing here but exist on the daemon's machine. */
const MISSING_HERE: readonly FactCode[] = ['model-not-found', 'unreadable-model', 'data-not-found', 'unreadable-data'];

/** Problems that do not apply to another machine. */
const OF_THIS_MACHINE: readonly FactCode[] = ['output-not-empty', 'output-unusable', 'offload-without-gpu'];

/** Files on this machine say little about a run on another one, and its output folder nothing. */
function elsewhere({ farDaemon, baseDir }: RecipeView, reports: readonly Report[]): readonly Report[] {
  if (farDaemon === undefined) return reports;
  const { url, folder = baseDir } = farDaemon;
  const where = `on this machine; the daemon at ${url} reads its own files, with relative paths from ${folder}`;
  return reports
    .filter(({ code }) => !OF_THIS_MACHINE.includes(code))
    .map(report =>
      MISSING_HERE.includes(report.code)
        ? { ...report, severity: 'info', replaceBy: undefined, message: `${report.message} (${where})` }
        : report,
    );
}

/** At the value if the text contains it, otherwise at the nearest existing key. */
function place({ root }: RecipeView, { severity = 'error', replaceBy, ...report }: Report): LintProblem {
  const { found, complete } = root === undefined ? { found: undefined, complete: false } : follow(root, report.path);
  const isWritten = complete || found?.content.kind === 'scalar';
  const suggestion: Suggestion | undefined = replaceBy !== undefined && isWritten ? { kind: 'replace-value', to: replaceBy } : undefined;
  const isRoot = found === root;
  const range = found === undefined || isRoot ? (modelKey(root) ?? START) : isWritten ? found.range : (found.keyRange ?? found.range);
  const insert = suggestion === undefined && !complete && report.path.every(step => typeof step === 'string') ? replaceBy : undefined;
  return { ...report, severity, range, suggestion, ...(insert === undefined ? {} : { insert }) };
}

const modelKey = (root: RecipeView['root']) =>
  root?.content.kind === 'map' ? (root.content.entries.get('model') ?? [...root.content.entries.values()][0])?.keyRange : undefined;

function* modelProblems({ model, values }: RecipeView): Generator<Report> {
  if (model === undefined || model.kind === 'not-downloaded') return;
  if (model.kind !== 'ready') yield unusable(model, values.model ?? '');
  else {
    yield* taskProblems(model.model, values.task);
    yield* vocabularyProblems(model);
    yield* imageProblems(model.model, values.data.image_size);
    yield* targetProblems(model.model, values);
    const behind = behindRandom(model.model, values);
    if (behind !== undefined)
      yield {
        code: 'measure-behind-random',
        severity: 'info',
        path: ['importance', 'measure'],
        message: behind,
        replaceBy: defaultMeasure,
      };
    const maxPositions = positionsOf(model.model);
    if (maxPositions !== undefined && values.max_length > maxPositions)
      yield {
        code: 'length-above-positions',
        path: ['max_length'],
        message: `max_length (${values.max_length}) is larger than the model's ${maxPositions} positions`,
        replaceBy: String(maxPositions),
      };
  }
}

function unusable(model: Exclude<ModelFacts, { kind: 'ready' | 'not-downloaded' }>, written: string): Report {
  const path = ['model'];
  if (model.kind === 'missing') {
    const hint = model.suggestion === undefined ? '' : `; did you mean '${model.suggestion}'?`;
    const message = `there is no model at '${written}', and it is not a hub name${hint}`;
    return { code: 'model-not-found', path, message, replaceBy: model.suggestion };
  }
  const codes = { unsupported: 'unsupported-model', unreadable: 'unreadable-model', mismatch: 'model-mismatch' } as const;
  return { code: codes[model.kind], path, message: model.reason };
}

/** The tasks of a model; the first one is suggested. */
function tasksOf(model: AnyModel): readonly ObjectiveName[] {
  if (model.kind === 'causal') return objectivesOf('causal', 'texts');
  if (model.input.kind === 'image') return objectivesOf('classifier', 'images');
  return model.encoder ? objectivesOf('classifier', 'texts') : objectivesOfScoreHead;
}

function* taskProblems(model: AnyModel, task: Recipe['task']): Generator<Report> {
  const tasks = tasksOf(model);
  if (tasks.includes(task)) return;
  const does = model.kind === 'causal' ? 'predicts the next token' : model.input.kind === 'image' ? 'looks at images' : 'reads texts whole';
  const message = `this ${model.family} model ${does} and can't be tuned for ${task}; use ${tasks.join(' or ')}`;
  yield { code: 'task-for-model', path: ['task'], message, replaceBy: tasks[0] };
}

/** Ids of added tokens alone are no problem of a recipe: its data may have none of them. */
function* vocabularyProblems({ model, vocabulary }: Extract<ModelFacts, { kind: 'ready' }>): Generator<Report> {
  const rows = model.kind === 'causal' ? model.vocabularySize : model.input.kind === 'tokens' ? model.input.vocabularySize : undefined;
  const problem = rows === undefined || vocabulary === undefined ? undefined : idsWithoutRow(vocabulary, rows);
  if (problem !== undefined && problem.severity === undefined)
    yield { code: 'vocabulary-mismatch', severity: 'warning', path: ['model'], message: problem.message };
}

function* imageProblems(model: AnyModel, size: number | undefined): Generator<Report> {
  if (size === undefined || model.kind !== 'classifier' || model.input.kind !== 'image' || takesSize(model.input, size)) return;
  const { height, width } = model.input;
  const message = `this model only takes images of ${height} × ${width}; delete image_size, which is for convolutional networks`;
  yield { code: 'image-size', path: ['data', 'image_size'], message, replaceBy: String(height) };
}

function* targetProblems(model: AnyModel, values: RecipeView['values']): Generator<Report> {
  const idle = [
    ...unmatched(model, 'target_modules', values.target_modules),
    ...unmatched(model, 'modules_to_save', values.modules_to_save),
  ];
  yield* idle;
  if (idle.length > 0) return;
  const { target_modules: targetModules, freeze, method } = values;
  // A method that trains only the head or the biases needs no targets; other requirements are reported below.
  const modules = methodCatalog[method].targets === 'required' ? matches(model, { targetModules, freeze }) : [];
  if (modules === undefined) {
    const message = `nothing is left to train: freeze [${freeze.join(', ')}] covers every target`;
    yield { code: 'nothing-to-train', path: ['freeze'], message };
    return;
  }
  const rank = [...rankProblems(modules, values)];
  yield* rank;
  const reason = rank.length === 0 ? whyNotAttached(model, values) : undefined;
  if (reason !== undefined) yield { code: 'nothing-to-train', path: ['method'], message: reason };
}

/** Names that stand for modules with different names in each model. */
const WORDS = { target_modules: ['all-linear'], modules_to_save: ['all-linear', 'head'] } as const;

function* unmatched(model: Model, setting: 'target_modules' | 'modules_to_save', entries: readonly string[]): Generator<Report> {
  const names = [...moduleNames(model), ...WORDS[setting]];
  for (const [i, entry] of entries.entries()) {
    if ((setting === 'modules_to_save' && entry === 'head') || matchesAny(model, entry)) continue;
    const near = didYouMean(entry, names);
    const hint = near === undefined ? `; its modules are ${names.join(', ')}` : `; did you mean '${near}'?`;
    const message = `'${entry}' matches nothing in this ${model.family}${hint}`;
    yield { code: 'unknown-module', path: [setting, i], message, replaceBy: near };
  }
}

function* rankProblems(modules: readonly ModuleSpec[], values: RecipeView['values']): Generator<Report> {
  const { method, r, ratio } = values;
  const { lowRank, r: counted } = methodCatalog[method];
  const isRank = lowRank === 'factors';
  if (r === undefined || !(isRank || (counted?.counts === 'rows' && ratio === undefined))) return;
  const { budget, dependencies } = methodSettings(values);
  const wanted = !isRank && 'r' in budget ? budget.r : r;
  const limits = modules.map(({ name, weight: { shape } }) => ({ name, most: isRank ? mostRank(shape) : (shape[0] ?? 0) }));
  const small = limits.filter(({ most }) => most < wanted);
  // With dependencies, half of r is rows.
  const fewest = Math.min(...small.map(({ most }) => most)) * (dependencies ? 2 : 1);
  const [first] = small;
  if (first === undefined) return;
  const what = isRank ? 'the rank that a weight can have' : 'the rows';
  const half = dependencies ? ` (with dependencies ${wanted} rows)` : '';
  const message = `r is ${r}${half}, more than ${what} of ${small.length} ${small.length === 1 ? 'layer' : 'layers'}, for example ${first.name} (${first.most}); at most ${fewest} fits all`;
  yield { code: 'rank-above-layer', severity: isRank ? 'warning' : 'error', path: ['r'], message, replaceBy: String(fewest) };
}

/** The method's own reason why it does not fit this model. */
function whyNotAttached(model: AnyModel, values: RecipeView['values']): string | undefined {
  try {
    attachFirst(model, values.method, methodSettings(values));
    return undefined;
  } catch (error) {
    if (error instanceof TargetError || error instanceof SelectionError) return error.message;
    throw error;
  }
}

function matches(model: Model, settings: Pick<TargetSettings, 'targetModules' | 'freeze'>): readonly ModuleSpec[] | undefined {
  try {
    return targetModules(model, settings);
  } catch (error) {
    if (error instanceof TargetError) return undefined;
    throw error;
  }
}

function* dataProblems({ data, values }: RecipeView): Generator<Report> {
  const places = (['train', 'eval'] as const).flatMap(part => values.data[part].map((_, i) => ['data', part, i]));
  const wrong = unknownColumns(data, values.data.columns);
  for (const [key, column] of wrong) {
    const columns = [...new Set(data.flatMap(fact => fact.columns))];
    const near = didYouMean(column, columns);
    const hint = near === undefined ? `; it has ${columns.join(', ')}` : `; did you mean '${near}'?`;
    yield { code: 'unknown-column', path: ['data', 'columns', key], message: `the data has no column '${column}'${hint}`, replaceBy: near };
  }
  for (const [i, fact] of data.entries()) {
    const path = places[i] ?? ['data'];
    if (fact.state === 'missing') {
      const hint = fact.suggestion === undefined ? '' : `; did you mean '${fact.suggestion}'?`;
      yield { code: 'data-not-found', path, message: `there is no file or folder '${fact.written}'${hint}`, replaceBy: fact.suggestion };
    } else if (fact.state === 'unreadable') yield { code: 'unreadable-data', path, message: fact.reason ?? 'the file is unreadable' };
    else if (fact.state === 'bad-sample') {
      // Shown once for all files, at the name.
      if (wrong.size > 0) continue;
      const { badSamples = [], isCut = false } = fact;
      for (const [place, { line, key, reason }] of badSamples.entries()) {
        const message = `${key === undefined ? '' : `key "${key}": `}${reason}`;
        const more = isCut && place === badSamples.length - 1 ? ' There may be more.' : '';
        yield {
          code: 'bad-sample',
          path,
          message: `line ${line}: ${message}${more}`,
          related: { file: fact.full, line: line - 1, message },
        };
      }
    }
  }
}

/** Samples that compare a text with itself: a loss without scores learns nothing from them but dropout. */
function* sameTextProblems({ data, values }: RecipeView): Generator<Report> {
  if (values.embedding.loss_type === 'cosine') return;
  for (const [i, { sameTexts, full }] of data.slice(0, values.data.train.length).entries()) {
    if (!sameTexts) continue;
    const { count, of, line } = sameTexts;
    const message = `${count} of ${of} samples compare a text with itself, the first on line ${line}: remove them, unless dropout is to make the difference`;
    yield {
      code: 'same-texts',
      severity: 'warning',
      path: ['data', 'train', i],
      message,
      related: { file: full, line: line - 1, message },
    };
  }
}

/** Over all training files; nothing is reported if one of them was not counted. */
function* labelProblems({ data, values }: RecipeView): Generator<Report> {
  const counted = data.slice(0, values.data.train.length).map(({ labels }) => labels);
  const counts: Record<string, number> = Object.create(null);
  for (const labels of counted) for (const [name, count] of Object.entries(labels ?? {})) counts[name] = (counts[name] ?? 0) + count;
  const [only, ...others] = Object.keys(counts);
  if (only === undefined || counted.includes(undefined)) return;
  if (objectiveCatalog[values.task].compares?.answers === 'judged') {
    const odd = describeImbalance(counts, values.preference);
    if (odd) yield { code: odd.code, severity: 'warning', path: ['data', 'train'], message: `${odd.problem}. ${odd.advice}` };
    return;
  }
  if (others.length === 0 && objectiveCatalog[values.task].model === 'classifier' && objectiveCatalog[values.task].target !== 'labels')
    yield {
      code: 'one-label',
      path: ['data', 'train'],
      message: `every ${objectiveCatalog[values.task].target === 'tags' ? 'word' : 'sample'} has the label '${only}', but a classifier needs at least two labels`,
    };
  yield* strangeLabels(
    data.slice(values.data.train.length),
    new Set(values.data.labels.length > 0 ? values.data.labels : Object.keys(counts)),
  );
  const { measure, scores } = values.importance;
  const isMeasured = methodCatalog[values.method].chooses === 'rows' && measureCatalog[measure].needsBalancedLabels && scores === undefined;
  const problem = isMeasured ? classBalanceProblem(counts) : undefined;
  if (problem !== undefined)
    yield {
      code: 'labels-for-measure',
      severity: 'warning',
      path: ['importance', 'measure'],
      message: problem,
      replaceBy: measureWithoutLabels,
    };
}

/** Held-out labels without a training sample: a classifier has no output for them. */
function* strangeLabels(held: RecipeView['data'], known: ReadonlySet<string>): Generator<Report> {
  for (const [i, { labels = {} }] of held.entries()) {
    const [first, ...more] = Object.keys(labels).filter(name => !known.has(name));
    if (first === undefined) continue;
    const others = more.length === 0 ? '' : `, nor ${more.slice(0, 5).join(', ')}${more.length > 5 ? ' …' : ''}`;
    yield {
      code: 'unknown-label',
      path: ['data', 'eval', i],
      message: `no training sample has the label '${first}'${others}: add some, or remove the held-out samples`,
    };
  }
}

/** Mapped columns that no file has; files with unknown columns are skipped. */
function unknownColumns(data: RecipeView['data'], renames: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  const known = data.filter(({ columns }) => columns.length > 0);
  if (known.length === 0 || known.length < data.length) return new Map();
  return new Map(Object.entries(renames).filter(([, column]) => !known.some(({ columns }) => columns.includes(column))));
}

function* outputProblems({ runs, values }: RecipeView): Generator<Report> {
  if (values.output_dir === undefined) return;
  const path = ['output_dir'];
  if (runs.unusable !== undefined) {
    yield { code: 'output-unusable', path, message: `no run can be written to '${values.output_dir}': ${runs.unusable}` };
    return;
  }
  if (values.overwrite_output_dir) return;
  if (runs.output === 'run') {
    const message = `'${values.output_dir}' already contains a run: resume it, choose another folder, or set overwrite_output_dir: true`;
    yield { code: 'output-not-empty', severity: 'info', path, message };
  } else if (runs.output === 'occupied') {
    const message = `'${values.output_dir}' contains other files: choose another folder, or move the files`;
    yield { code: 'output-not-empty', severity: 'warning', path, message };
  }
}

function* memoryProblems({ estimate, availableBytes, values, card }: RecipeView): Generator<Report> {
  if (estimate === undefined || estimate.runBytes <= availableBytes) return;
  const has =
    card === undefined ? `only ${byteSize(availableBytes)} are free` : `${cardCatalog[card].label} has ${byteSize(availableBytes)} for it`;
  const message = `this run needs about ${byteSize(estimate.runBytes)}, but ${has}: ${memorySplit(estimate)}`;
  const batch = values.per_device_train_batch_size;
  const path = [batch > 1 ? 'per_device_train_batch_size' : 'max_length'];
  yield { code: 'memory-above-free', severity: 'warning', path, message };
}

function* offloadProblems({ values, device }: RecipeView): Generator<Report> {
  if (values.optimizer_offload !== 'host' || device === 'gpu') return;
  const message = "'host' has no effect without a GPU: the optimizer's state is in host memory in any case";
  yield { code: 'offload-without-gpu', severity: 'info', path: ['optimizer_offload'], message };
}

/** "538 MB weights, 12 MB optimizer, 1.2 GB activations (recompute: block), 690 MB engine" */
export function memorySplit(estimate: RecipeEstimate): string {
  const parts: [number, string][] = [
    [estimate.weightsBytes, 'weights'],
    [estimate.trainedBytes, 'added by the method'],
    [estimate.gradientBytes, 'accumulated gradients'],
    [estimate.optimizerBytes, 'optimizer'],
    [estimate.activationBytes, `activations (recompute: ${estimate.recompute})`],
    [estimate.engineOverheadBytes, 'engine'],
  ];
  const split = parts.flatMap(([bytes, name]) => (bytes > 0 ? [`${byteSize(bytes)} ${name}`] : [])).join(', ');
  return estimate.processes === 1 ? split : `each of ${estimate.processes} processes has ${split}`;
}
