/** Problems of a recipe that depend on its model, its data and this machine. Pure: the facts are passed in. */

import { andList } from '../../catalog/entries.ts';
import { defaultMeasure } from '../../catalog/measures.ts';
import type { RecipeEstimate } from '../../plan/memory/predict.ts';
import type { Suggestion } from '../../protocol/problem.ts';
import { partsOfBatch } from '../../protocol/recipe/global-batch.ts';
import { follow, START } from '../../protocol/recipe/located.ts';
import { byteSize, countedText } from '../../protocol/text/format.ts';
import { memoryOwner, type RecipeView } from '../recipe-view.ts';
import { classNameProblems } from './class-name-problems.ts';
import {
  dataProblems,
  heldOutProblems,
  ignoredJudgmentProblems,
  missingFileProblems,
  plainPromptProblems,
  queryProblems,
  repeatedPromptProblems,
  sameTextProblems,
  uncheckedImages,
  unseenRoleProblems,
} from './data-problems.ts';
import type { FactCode, Report } from './fact-report.ts';
import { judgeProblems } from './judge-problems.ts';
import { labelProblems } from './label-problems.ts';
import type { LintProblem } from './lint-problem.ts';
import { modelProblems } from './model-problems.ts';
import { storedBitsProblems } from './stored-bits.ts';
import { teacherProblems } from './teacher-problems.ts';

export function factProblems(view: RecipeView): LintProblem[] {
  const reports = [
    ...modelProblems(view),
    ...teacherProblems(view),
    ...judgeProblems(view),
    ...dataProblems(view),
    ...uncheckedImages(view),
    ...missingFileProblems(view),
    ...heldOutProblems(view),
    ...labelProblems(view),
    ...classNameProblems(view),
    ...plainPromptProblems(view),
    ...ignoredJudgmentProblems(view),
    ...sameTextProblems(view),
    ...repeatedPromptProblems(view),
    ...unseenRoleProblems(view),
    ...queryProblems(view),
    ...outputProblems(view),
    ...storedBitsProblems(view),
    ...memoryProblems(view),
    ...offloadProblems(view),
  ];
  return elsewhere(view, reports).map(report => place(view, report));
}

/** Problems of files that may be missing here but exist on the daemon's machine. */
const MISSING_HERE: readonly FactCode[] = ['model-not-found', 'unreadable-model', 'no-reward-model', 'data-not-found', 'unreadable-data'];

/** Problems that do not apply to another machine. */
const OF_THIS_MACHINE: readonly FactCode[] = [
  'not-downloaded',
  'images-not-checked',
  'output-not-empty',
  'output-unusable',
  'offload-without-gpu',
];

/** Adapts reports to a daemon on another machine: files here may not matter there, and the output folder here never does. */
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

/** Places a report at the value if the text contains it, otherwise at the nearest existing key. */
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

function* memoryProblems({ estimate, availableBytes, values, card, gpu, isPerDevice }: RecipeView): Generator<Report> {
  if (estimate === undefined || estimate.runBytes <= availableBytes) return;
  const device = memoryOwner({ card, gpu, isPerDevice });
  const has = device === undefined ? `only ${byteSize(availableBytes)} are free` : `${device} has ${byteSize(availableBytes)} for it`;
  if ((estimate.teacherBytes ?? 0) > estimate.totalBytes) {
    const message = `the teacher needs about ${byteSize(estimate.runBytes)} before training, but ${has}${onHostText(estimate, availableBytes)}`;
    yield { code: 'memory-above-free', severity: 'warning', path: ['distillation', 'teacher'], message };
    return;
  }
  if ((estimate.encoderBytes ?? 0) > Math.max(estimate.totalBytes, estimate.scoringBytes ?? 0)) {
    const message = `the encoder of images needs about ${byteSize(estimate.runBytes)} before training, but ${has}; smaller images need less, if the model takes images of several sizes`;
    yield { code: 'memory-above-free', severity: 'warning', path: ['data', 'image_max_pixels'], message };
    return;
  }
  if ((estimate.scoringBytes ?? 0) > estimate.totalBytes) {
    const message = `the pass of '${values.importance.measure}' over all candidates needs about ${byteSize(estimate.runBytes)} before training, but ${has}; a measure of outputs needs less than training`;
    yield { code: 'memory-above-free', severity: 'warning', path: ['importance', 'measure'], message, replaceBy: defaultMeasure };
    return;
  }
  const message = `this run needs about ${byteSize(estimate.runBytes)}${isPerDevice && partsOfBatch(values) > 1 ? ' on each card' : ''}, but ${has}: ${memorySplit(estimate)}${onHostText(estimate, availableBytes)}`;
  const batch = values.per_device_train_batch_size;
  const path = [batch > 1 ? 'per_device_train_batch_size' : 'max_length'];
  yield { code: 'memory-above-free', severity: 'warning', path, message };
}

/** The end of a sentence that says whether a run that does not fit would fit with its base in host memory. */
export function onHostText({ baseOnHost }: Pick<RecipeEstimate, 'baseOnHost'>, availableBytes: number): string {
  if (!baseOnHost) return '';
  const { runBytes, offloadedBytes, overrides } = baseOnHost;
  const settings = andList(overrides.map(override => override.replace('=', ': ')));
  return runBytes <= availableBytes
    ? `; with ${settings} it needs about ${byteSize(runBytes)} and fits, with ${byteSize(offloadedBytes)} in host memory`
    : `; with ${settings} it still needs about ${byteSize(runBytes)}`;
}

function* offloadProblems({ values, device }: RecipeView): Generator<Report> {
  if (device === 'gpu') return;
  const without = (setting: 'optimizer_offload' | 'base_offload', message: string): Report => ({
    code: 'offload-without-gpu',
    severity: 'info',
    path: [setting],
    message,
  });
  if (values.optimizer_offload === 'host')
    yield without('optimizer_offload', "'host' has no effect without a GPU: the optimizer's state is in host memory in any case");
  if (values.base_offload === 'host')
    yield without('base_offload', "'host' saves no memory without a GPU: the weights are in host memory in any case");
}

/** The memory by part: "538 MB weights, 12 MB optimizer, 1.2 GB activations (recompute: block), 690 MB engine". */
export function memorySplit(estimate: RecipeEstimate): string {
  const parts: [number, string][] = [
    [estimate.weightsBytes, 'weights'],
    [estimate.trainedBytes, 'added by the method'],
    [estimate.gradientBytes, 'accumulated gradients'],
    [estimate.optimizerBytes, 'optimizer'],
    [estimate.activationBytes, `activations (recompute: ${estimate.recompute}${countedText(estimate.source)})`],
    [estimate.engineOverheadBytes, 'engine'],
  ];
  const split = parts.flatMap(([bytes, name]) => (bytes > 0 ? [`${byteSize(bytes)} ${name}`] : [])).join(', ');
  const { processes, devices } = estimate;
  if (devices > 1) return `each of ${devices} devices has ${split}`;
  return processes === 1 ? split : `each of ${processes} processes has ${split}`;
}
