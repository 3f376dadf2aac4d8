/** Fixes for problems as edits of the text. Pure. */
import path from 'node:path';
import { type Document, parseDocument } from 'yaml';
import type { Problem, Suggestion } from '../protocol/problem.ts';
import { foreignKeys } from '../protocol/recipe/foreign-keys.ts';
import { parseRecipe } from '../protocol/recipe/parse-recipe.ts';
import { linesOf, offsetsIn } from '../protocol/text/line-starts.ts';
import type { TextChange } from '../protocol/text/text-change.ts';
import { type ConvertedRecipe, convertRecipe } from './convert-recipe.ts';
import { IGNORE_MARK } from './ignore-comments.ts';
import type { LintProblem, Rewrite } from './problems/lint-problem.ts';
import type { RecipeView } from './recipe-view.ts';
import { editDocument, movePair, setValue, smallestChange, takePair } from './text-edits.ts';

export interface QuickFix {
  readonly title: string;
  readonly change: TextChange;
  /** Whether this is the most likely fix. */
  readonly preferred: boolean;
  readonly problem: LintProblem;
}

/** The fixes for a problem. @param source text and path; `view` for a recipe, because some fixes read its settings */
export function quickFixes(
  { text, file, view }: Pick<RecipeView, 'text' | 'file'> & { readonly view?: RecipeView },
  problems: readonly LintProblem[],
): QuickFix[] {
  const fixes = problems.slice(0, MAX_FIXES).flatMap(problem => {
    const found =
      problem.code === 'memory-above-free' && view !== undefined
        ? [smallerBatch(view), baseOnHost(view)]
        : [
            problem.rewrite !== undefined
              ? rewritten({ text, file }, problem.rewrite)
              : problem.insert === undefined
                ? suggested({ text, file }, problem)
                : inserted({ text, file }, problem.path, problem.insert),
          ];
    const own = found.flatMap(fix => (fix?.change === undefined ? [] : [{ title: fix.title, change: fix.change, problem }]));
    return [...own.map((fix, i) => ({ ...fix, preferred: i === 0 })), ...ignoring({ text, file }, problem)];
  });
  return fixes.slice(0, MAX_FIXES);
}

/** Fixes that add a comment above the line of a problem that is not an error, or delete a comment that suppresses nothing. */
function ignoring({ text, file }: Pick<RecipeView, 'text' | 'file'>, problem: LintProblem): QuickFix[] {
  const { code, severity, range, override } = problem;
  if (path.extname(file) === '.json' || override !== undefined) return [];
  const line = linesOf(text)[range.start.line] ?? '';
  if (code === 'unused-ignore') {
    const isAlone = line.slice(0, range.start.column).trim() === '';
    const before = isAlone ? 0 : line.slice(0, range.start.column).trimEnd().length;
    const end = isAlone ? { line: range.start.line + 1, column: 0 } : range.end;
    const change = { range: { start: { line: range.start.line, column: before }, end }, newText: '' };
    return [{ title: 'Delete the comment', change, preferred: true, problem }];
  }
  if (severity === 'error' || code === 'invalid-ignore') return [];
  const indent = /^\s*/.exec(line)?.[0] ?? '';
  const start = { line: range.start.line, column: 0 };
  const change = { range: { start, end: start }, newText: `${indent}# ${IGNORE_MARK} ${code}: say why\n` };
  return [{ title: `Ignore '${code}' here, with a reason`, change, preferred: false, problem }];
}

/** Maximum number of rounds: a fix may reveal another problem, for example a renamed key with a value of another tool. */
const MAX_ROUNDS = 6;
/** Maximum number of fixes for a range; a line with thousands of problems is not fixed one by one. */
const MAX_FIXES = 30;

/**
 * The text with every certain fix of an error applied. A recipe of another tool is converted as a whole, because renaming its keys one by
 * one would lose their meaning. Keys that have a different meaning here, or would be lost, are left to the user.
 */
export const fixedText = (view: Pick<RecipeView, 'text' | 'file'>): string => conversion(view)?.text ?? withCertainFixes(view);

function withCertainFixes({ text, file }: Pick<RecipeView, 'text' | 'file'>): string {
  let now = text;
  for (let i = 0; i < MAX_ROUNDS; i++) {
    const certain = parseRecipe(now, { fileName: file }).problems.filter(isCertain);
    const after = withReplacements({ text: now, file }, certain) ?? withEdits({ text: now, file }, certain);
    if (after === undefined || after === now) break;
    now = after;
  }
  return now;
}

/** Applies all replacements of one round, from last to first so that positions stay valid; undefined if there are none. */
function withReplacements(view: Pick<RecipeView, 'text' | 'file'>, problems: readonly Problem[]): string | undefined {
  const targets = new Set<string>();
  const changes = problems.flatMap(problem => {
    const { suggestion } = problem;
    if (suggestion?.kind !== 'rename-key' && suggestion?.kind !== 'replace-value') return [];
    // If two keys become the same one, the second is checked again after the first was renamed.
    const target = JSON.stringify([problem.path.slice(0, -1), suggestion.to]);
    if (suggestion.kind === 'rename-key' && targets.has(target)) return [];
    targets.add(target);
    return suggested(view, problem)?.change ?? [];
  });
  if (changes.length === 0) return undefined;
  const offset = offsetsIn(view.text);
  let [after, end] = [view.text, view.text.length];
  for (const { from, to, newText } of changes
    .map(({ range, newText }) => ({ from: offset(range.start), to: offset(range.end), newText }))
    .sort((x, y) => y.from - x.from)) {
    if (to > end) continue;
    after = after.slice(0, from) + newText + after.slice(to);
    end = from;
  }
  return after;
}

/** Removes and moves all keys of one round; undefined if there are none. */
function withEdits({ text, file }: Pick<RecipeView, 'text' | 'file'>, problems: readonly Problem[]): string | undefined {
  const targets = new Set<string>();
  const edits = problems.filter(({ suggestion }) => {
    if (suggestion?.kind === 'remove-key') return true;
    if (suggestion?.kind !== 'move-key' || targets.has(suggestion.to)) return false;
    targets.add(suggestion.to);
    return true;
  });
  if (edits.length === 0) return undefined;
  return editDocument(text, path.extname(file) === '.json', document => {
    for (const { suggestion, path: keys } of edits) if (suggestion !== undefined) editKey(document, keys, suggestion);
  });
}

function editKey(document: Document, keys: Problem['path'], suggestion: Suggestion): void {
  if (suggestion.kind === 'move-key') movePair(document, keys, suggestion.to);
  else takePair(document, keys);
}

/** The certain fixes as an edit; undefined if there is nothing to fix. */
export const fixAll = (view: Pick<RecipeView, 'text' | 'file'>): TextChange | undefined => smallestChange(view.text, fixedText(view));

export interface Conversion extends ConvertedRecipe {
  readonly title: string;
}

/** Converts a whole recipe of another tool; undefined for other texts. */
export function conversion({ text, file }: Pick<RecipeView, 'text' | 'file'>): Conversion | undefined {
  const converted = convertRecipe(text, path.extname(file) === '.json');
  if (converted === undefined) return undefined;
  const lost = converted.dropped.length === 0 ? '' : ` (${converted.dropped.length} keys have no counterpart)`;
  const title = `Convert this recipe of ${converted.tool}${lost}`;
  return { ...converted, title, text: withCertainFixes({ text: converted.text, file }) };
}

function isCertain({ code, severity, suggestion, path: keys }: Problem): boolean {
  const key = String(keys.at(-1));
  const hasNote = Object.hasOwn(foreignKeys, key) && foreignKeys[key]?.note !== undefined;
  const isMeant = severity === 'error' || code === 'number-format';
  if (!isMeant || suggestion === undefined) return false;
  return suggestion.kind === 'remove-key' ? suggestion.losesNothing === true : !hasNote;
}

interface Fix {
  readonly title: string;
  readonly change: TextChange | undefined;
}

function suggested({ text, file }: Pick<RecipeView, 'text' | 'file'>, problem: Problem): Fix | undefined {
  const { suggestion, range, path: keys } = problem;
  if (suggestion === undefined || problem.override !== undefined) return undefined;
  const isJson = path.extname(file) === '.json';
  const key = String(keys.at(-1));
  const edited = (change: Parameters<typeof editDocument>[2]): TextChange | undefined => {
    const after = editDocument(text, isJson, change);
    return after === undefined ? undefined : smallestChange(text, after);
  };
  switch (suggestion.kind) {
    case 'rename-key':
      return { title: `Rename to '${suggestion.to}'`, change: { range, newText: isJson ? JSON.stringify(suggestion.to) : suggestion.to } };
    case 'replace-value':
      return { title: `Replace with ${suggestion.to}`, change: { range, newText: isJson ? asJson(suggestion.to) : asYaml(suggestion.to) } };
    case 'remove-key':
      return { title: `Remove '${key}'`, change: edited(document => editKey(document, keys, suggestion)) };
    case 'move-key':
      return { title: `Move to '${suggestion.to}'`, change: edited(document => editKey(document, keys, suggestion)) };
  }
}

/** Sets a setting that the text does not contain. */
const inserted = (source: Pick<RecipeView, 'text' | 'file'>, keys: LintProblem['path'], to: string): Fix =>
  rewritten(source, { title: `Set ${keys.join('.')}: ${to}`, settings: [{ path: keys, to }] });

/** Sets and removes settings together; changes nothing if one of them cannot be set. */
function rewritten({ text, file }: Pick<RecipeView, 'text' | 'file'>, { title, settings }: Rewrite): Fix {
  let isWhole = true;
  const after = editDocument(text, path.extname(file) === '.json', document => {
    for (const { path: keys, to } of settings) {
      if (to !== undefined) isWhole = setValue(document, keys, parseDocument(to).toJS()) && isWhole;
      else if (document.hasIn(keys)) document.deleteIn(keys);
    }
  });
  return { title, change: after === undefined || !isWhole ? undefined : smallestChange(text, after) };
}

/** Halves the batch, and so the activations (or divides an odd batch further), and keeps the effective batch. */
function smallerBatch({ text, file, values }: RecipeView): Fix | undefined {
  const batch = values.per_device_train_batch_size;
  if (batch < 2) return undefined;
  const parts = Array.from({ length: batch - 1 }, (_, i) => i + 2).find(count => batch % count === 0) ?? batch;
  const part = batch / parts;
  const steps = values.gradient_accumulation_steps * parts;
  const after = editDocument(text, path.extname(file) === '.json', document => {
    document.set('per_device_train_batch_size', part);
    document.set('gradient_accumulation_steps', steps);
  });
  const title = `Use batches of ${part}, ${steps} per update`;
  return { title, change: after === undefined ? undefined : smallestChange(text, after) };
}

/** Moves the base to host memory; undefined if the run does not fit then either. */
function baseOnHost({ text, file, estimate, availableBytes }: RecipeView): Fix | undefined {
  const hosted = estimate?.baseOnHost;
  if (!hosted || hosted.runBytes > availableBytes) return undefined;
  const after = editDocument(text, path.extname(file) === '.json', document => {
    for (const override of hosted.overrides) document.set(...keyAndValue(override));
  });
  const title = `Keep the weights of the blocks in host memory (${hosted.overrides.join(', ')})`;
  return { title, change: after === undefined ? undefined : smallestChange(text, after) };
}

/** The parts of `key=value` for a setting without a dot whose value is a word. */
function keyAndValue(override: string): [key: string, value: string] {
  const at = override.indexOf('=');
  return [override.slice(0, at), override.slice(at + 1)];
}

/** Converts a suggestion, which is YAML text, to JSON. */
const asJson = (to: string): string => JSON.stringify(parseDocument(to).toJS()) ?? JSON.stringify(to);

/** Quotes a path that YAML would read as something else; quoted text reads back unchanged. */
function asYaml(to: string): string {
  const document = parseDocument(to);
  return document.errors.length === 0 && document.warnings.length === 0 && !/: |#/.test(to) ? to : JSON.stringify(to);
}
