/**
 * The tasks of the GLUE benchmark in their official files: how to recognize each by its columns, where its texts and label are, and its
 * metrics.
 */
import path from 'node:path';

/** Names of evaluation metrics. */
export type GlueMetric = 'accuracy' | 'f1' | 'matthews' | 'pearson' | 'spearman';

export interface GlueTask {
  readonly name: string;
  /** The metrics; papers quote the first one. */
  readonly metrics: readonly [GlueMetric, ...GlueMetric[]];
  readonly regression?: true;
}

const tasks = {
  cola: { name: 'CoLA', metrics: ['matthews'] },
  sst2: { name: 'SST-2', metrics: ['accuracy'] },
  mrpc: { name: 'MRPC', metrics: ['accuracy', 'f1'] },
  qqp: { name: 'QQP', metrics: ['accuracy', 'f1'] },
  stsb: { name: 'STS-B', metrics: ['pearson', 'spearman'], regression: true },
  mnli: { name: 'MNLI', metrics: ['accuracy'] },
  qnli: { name: 'QNLI', metrics: ['accuracy'] },
  rte: { name: 'RTE', metrics: ['accuracy'] },
  wnli: { name: 'WNLI', metrics: ['accuracy'] },
} as const satisfies Readonly<Record<string, GlueTask>>;

type TaskKey = keyof typeof tasks;

/** The columns of CoLA's files, which have no header line. */
export const COLA_COLUMNS = ['source', 'label', 'mark', 'sentence'] as const;

/** Columns that only the official TSV files of a task have. */
const SIGNATURES: readonly (readonly [TaskKey, readonly string[]])[] = [
  ['cola', COLA_COLUMNS],
  ['mrpc', ['Quality', '#1 String', '#2 String']],
  ['qqp', ['qid1', 'qid2', 'question1', 'question2', 'is_duplicate']],
  ['stsb', ['genre', 'old_index', 'sentence1', 'sentence2', 'score']],
  ['mnli', ['sentence1_binary_parse', 'sentence1', 'sentence2', 'gold_label']],
  ['qnli', ['index', 'question', 'sentence', 'label']],
];

/** Tasks that share their columns, as in Parquet files, are recognized by folder or file: cola/train-00000-of-00001.parquet. */
const FOLDERS: Readonly<Record<string, TaskKey>> = { 'sst-2': 'sst2', 'sts-b': 'stsb', 'mnli-mm': 'mnli', mnli_matched: 'mnli' };
const SHARED_COLUMNS: Readonly<Record<TaskKey, readonly string[]>> = {
  cola: ['sentence', 'label'],
  sst2: ['sentence', 'label'],
  mrpc: ['sentence1', 'sentence2', 'label'],
  qqp: ['question1', 'question2', 'label'],
  stsb: ['sentence1', 'sentence2', 'label'],
  mnli: ['premise', 'hypothesis', 'label'],
  qnli: ['question', 'sentence', 'label'],
  rte: ['sentence1', 'sentence2', 'label'],
  wnli: ['sentence1', 'sentence2', 'label'],
};

/** The GLUE task of a file, or undefined. @param columns the columns of the first sample, as the file names them */
export function glueTask(file: string, columns: readonly string[]): GlueTask | undefined {
  const has = (wanted: readonly string[]): boolean => wanted.every(name => columns.includes(name));
  const signed = SIGNATURES.find(([, wanted]) => has(wanted));
  const key = signed?.[0] ?? keyOfPath(file);
  return key && (signed !== undefined || has(SHARED_COLUMNS[key])) ? tasks[key] : undefined;
}

/** The task named by one of the two folders above the file, or by the file name up to the first `-`, `_` or `.`. */
function keyOfPath(file: string): TaskKey | undefined {
  const parts = path.resolve(file).toLowerCase().split(path.sep).slice(-3);
  const names = [...parts.slice(0, -1).reverse(), parts.at(-1)?.split(/[-_.]/)[0] ?? ''];
  return names.map(name => FOLDERS[name] ?? name).find((name): name is TaskKey => Object.hasOwn(tasks, name));
}

/** True for a first line of CoLA: source, 0 or 1, * or nothing, sentence. */
export function isColaLine(line: string): boolean {
  const fields = line.replace(/^\uFEFF/, '').split('\t');
  return fields.length === 4 && /^[01]$/.test(fields[1] ?? '') && /^\*?$/.test(fields[2] ?? '');
}

/** True for QQP's official files, which have a few lines with too few fields that everyone skips. */
export const hasShortLines = (header: string): boolean => {
  const columns = header.trim().split('\t');
  return SIGNATURES.some(([key, wanted]) => key === 'qqp' && wanted.every(name => columns.includes(name)));
};

/** The task and its metric, for the log. */
export function describeGlue({ name, metrics }: GlueTask): string {
  const [first] = metrics;
  return `GLUE's ${name}, judged by ${metrics.join(' and ')} (metric_for_best_model: ${first})`;
}
