/** Problems of a recipe that depend on its data: files, columns and samples. */

import { didYouMean } from '../../catalog/did-you-mean.ts';
import { namesWhere } from '../../catalog/entries.ts';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { toolCommand } from '../../catalog/tools.ts';
import { linesAlike } from '../../data/data-error.ts';
import { explainMissing } from '../../data/missing-path.ts';
import { nothingLeft } from '../../data/split.ts';
import { trainedRolesOf } from '../../protocol/recipe/trained-roles.ts';
import { sampleLine } from '../../protocol/text/sample-line.ts';
import type { BadSample, DataFact, OddSamples } from '../facts/data-facts.ts';
import type { MissingFile } from '../facts/named-files.ts';
import type { RecipeView } from '../recipe-view.ts';
import type { Report } from './fact-report.ts';

export function* dataProblems({ data, values }: RecipeView): Generator<Report> {
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
    if (fact.isOnHub === true) {
      const message = `'${fact.written}' is not downloaded, so its columns and samples are not checked here. A run downloads what it reads of it`;
      yield { code: 'not-downloaded', severity: 'info', path, message };
    }
    if (fact.state === 'missing') yield notFound({ ...fact, path });
    else if (fact.state === 'unreadable')
      yield { code: 'unreadable-data', path, message: `${place(fact)}${fact.reason ?? 'the file is unreadable'}` };
    else if (fact.state === 'bad-sample') {
      // Reported once for all files, at the name.
      if (wrong.size > 0) continue;
      yield* badSampleProblems(fact, path);
    }
  }
}

/** A remark, once for all files, that images were not checked. */
export function* uncheckedImages({ data, values }: Pick<RecipeView, 'data' | 'values'>): Generator<Report> {
  const i = data.findIndex(({ lacksImageLibrary }) => lacksImageLibrary);
  if (i < 0) return;
  const path = i < values.data.train.length ? ['data', 'train', i] : ['data', 'eval', i - values.data.train.length];
  const message = `the images of the samples were not checked, because the library that decodes them is not installed: run "${toolCommand('images')}"`;
  yield { code: 'images-not-checked', severity: 'info', path, message };
}

/** Problems of files that the recipe names in addition to its data. */
export function* missingFileProblems({ missingFiles }: RecipeView): Generator<Report> {
  for (const file of missingFiles) yield notFound(file);
}

function notFound({ path, written, suggestion }: Pick<Report, 'path'> & Omit<MissingFile, 'path'>): Report {
  const { problem, advice, dataSet, isPath } = explainMissing(written);
  const hint = suggestion === undefined ? '' : `; did you mean '${suggestion}'?`;
  const why = isPath ? hint : `: ${problem}. ${advice}`;
  return {
    code: 'data-not-found',
    path,
    message: `there is no file or folder '${written}'${why}`,
    replaceBy: isPath ? suggestion : dataSet,
  };
}

/** The file of a folder, at the beginning of a message: "a.jsonl: ". */
const place = ({ inFolder }: DataFact): string => (inFolder === undefined ? '' : `${inFolder}: `);

/** One problem for all samples that share it, at the first of their lines. */
function* badSampleProblems(fact: DataFact, path: Report['path']): Generator<Report> {
  const { badSamples = [], isTruncated = false, full } = fact;
  const placesOf = new Map<string, BadSample[]>();
  for (const bad of badSamples) {
    const message = `${bad.key === undefined ? '' : `key "${bad.key}": `}${bad.reason}`;
    placesOf.set(message, [...(placesOf.get(message) ?? []), bad]);
  }
  let left = placesOf.size;
  for (const [message, [first, ...alike]] of placesOf) {
    if (first === undefined) continue;
    const others = linesAlike(alike) + (isTruncated && --left === 0 ? ' There may be more.' : '');
    yield {
      code: 'bad-sample',
      path,
      message: `${place(fact)}line ${sampleLine(first)}: ${message}${others === '' ? '' : `.${others}`}`,
      related: { file: full, line: first.line - 1, message },
    };
  }
}

/** Problems of samples that compare a text with itself: a loss without scores learns nothing from them except dropout. */
export function* sameTextProblems({ data, values }: RecipeView): Generator<Report> {
  if (values.embedding.loss_type === 'cosine') return;
  const problem = {
    code: 'same-texts',
    what: 'compare a text with itself',
    fix: 'remove them, unless dropout is to make the difference',
  } as const;
  yield* oddSamples(data.slice(0, values.data.train.length), problem, fact => fact.sameTexts);
}

/** Problems of pairs whose answer repeats the prompt: the model would learn to repeat it. */
export function* repeatedPromptProblems({ data, values }: RecipeView): Generator<Report> {
  const problem = {
    code: 'prompt-in-answer',
    what: 'have an answer that begins with its prompt',
    fix: 'remove the prompt from the answers, or leave out the prompt key',
  } as const;
  yield* oddSamples(data.slice(0, values.data.train.length), problem, fact => fact.repeatedPrompts);
}

/** Problems of a chat model's prompts that are trained without its template: the training would then hardly affect chats. */
export function* plainPromptProblems({ data, values }: RecipeView): Generator<Report> {
  const { train, columns } = values.data;
  for (const [i, { isPlainForChat }] of data.slice(0, train.length).entries()) {
    if (isPlainForChat !== true) continue;
    const [prompt, completion] = [columns.prompt ?? 'prompt', columns.completion ?? 'completion'];
    const named = `columns: {instruction: ${prompt}, output: ${completion}}`;
    const isFound = values.data.format === 'auto';
    const settings = [
      ...(isFound ? [] : [{ path: ['data', 'format'], to: undefined }]),
      { path: ['data', 'columns', 'prompt'], to: undefined },
      { path: ['data', 'columns', 'completion'], to: undefined },
      { path: ['data', 'columns', 'instruction'], to: JSON.stringify(prompt) },
      { path: ['data', 'columns', 'output'], to: JSON.stringify(completion) },
    ];
    yield {
      code: 'plain-prompts',
      severity: 'info',
      path: ['data', 'train', i],
      message: `prompts and completions are trained as plain text, without the chat template of this model. To train them as chats, set ${isFound ? named : `${named} and format: auto`}`,
      rewrite: { title: `Train them as chats: ${named}`, settings },
    };
  }
}

/** Problems of answers that the data judges as good or bad and the task trains alike. */
export function* ignoredJudgmentProblems({ data, values }: RecipeView): Generator<Report> {
  const at = data.slice(0, values.data.train.length).findIndex(({ hasJudgments }) => hasJudgments);
  if (at < 0) return;
  const [judging] = namesWhere(objectiveCatalog, ({ target }) => target === 'judgment');
  yield {
    code: 'ignored-judgments',
    path: ['data', 'train', at],
    severity: 'warning',
    message: `the samples say whether their answer is good or bad, which task: ${values.task} does not read: it trains bad answers like good ones. Set task: ${judging}, or remove the bad answers`,
    rewrite: { title: `Set task: ${judging}`, settings: [{ path: ['task'], to: judging }] },
  };
}

/** Problems of trained roles that have no turn in any training file. */
export function* unseenRoleProblems({ data, values }: RecipeView): Generator<Report> {
  const seen = data.slice(0, values.data.train.length).map(({ seenRoles }) => seenRoles);
  if (seen.length === 0 || seen.includes(undefined)) return;
  const all = new Set(seen.flatMap(roles => roles ?? []));
  for (const role of trainedRolesOf(values) ?? [])
    if (!all.has(role))
      yield {
        code: 'unseen-role',
        severity: 'warning',
        path: ['data', 'trained_roles'],
        message: `no training sample has a turn of the role '${role}'`,
      };
}

interface OddProblem {
  readonly code: 'same-texts' | 'prompt-in-answer';
  /** The rest of a sentence that begins with "3 of 40 samples". */
  readonly what: string;
  readonly fix: string;
}

function* oddSamples(
  train: RecipeView['data'],
  { code, what, fix }: OddProblem,
  of: (fact: DataFact) => OddSamples | undefined,
): Generator<Report> {
  for (const [i, fact] of train.entries()) {
    const found = of(fact);
    if (!found) continue;
    const message = `${found.count} of ${found.of} samples ${what}, the first on line ${found.line}: ${fix}`;
    yield { code, severity: 'warning', path: ['data', 'train', i], message, related: { file: fact.full, line: found.line - 1, message } };
  }
}

/** Problems of a reranker's held-out queries with a single document, which always ranks first. */
export function* queryProblems({ data, values }: RecipeView): Generator<Report> {
  for (const [i, { queries }] of data.slice(values.data.train.length).entries()) {
    if (!queries || queries.single === 0) continue;
    yield {
      code: 'single-documents',
      severity: 'warning',
      path: ['data', 'eval', i],
      message: singleDocuments(queries),
    };
  }
  if (values.data.eval.length > 0 || values.val_size === 0) return;
  const found = data.slice(0, values.data.train.length).map(({ queries }) => queries);
  const sum = (of: 'count' | 'single'): number => found.reduce((total, queries) => total + (queries?.[of] ?? 0), 0);
  const all = { count: sum('count'), single: sum('single') };
  if (found.includes(undefined) || all.single === 0) return;
  yield { code: 'single-documents', severity: 'warning', path: ['val_size'], message: `held out are some of the ${singleDocuments(all)}` };
}

const singleDocuments = ({ single, count }: { readonly single: number; readonly count: number }): string =>
  `queries with a single document: ${single} of ${count}. It ranks first whatever the model says: add others that are not relevant`;

/** The problem of a `val_size` that leaves nothing to train on; none is reported if a file was not counted. */
export function* heldOutProblems({ data, values }: RecipeView): Generator<Report> {
  const { train, eval: held, max_samples: most = Number.POSITIVE_INFINITY } = values.data;
  const counts = data.slice(0, train.length).map(({ rows }) => (rows?.isExact ? rows.count : undefined));
  if (held.length > 0 || counts.length === 0 || counts.includes(undefined)) return;
  const total = Math.min(
    most,
    counts.reduce<number>((sum, count) => sum + (count ?? 0), 0),
  );
  const problem = nothingLeft(total, values.val_size);
  if (problem !== undefined) yield { code: 'nothing-left-to-train', path: ['val_size'], message: problem };
}

/** Mapped columns that no file has; files with unknown columns are skipped. */
function unknownColumns(data: RecipeView['data'], renames: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  const known = data.filter(({ columns }) => columns.length > 0);
  if (known.length === 0 || known.length < data.length) return new Map();
  return new Map(Object.entries(renames).filter(([, column]) => !known.some(({ columns }) => columns.includes(column))));
}
