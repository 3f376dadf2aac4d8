/** Checks one whole file: a recipe with its model, data and machine, or a config of a model folder. */
import path from 'node:path';
import { START } from '../protocol/recipe/located.ts';
import { type ConfigKind, documentKind } from './document-kind.ts';
import { type ComputeEstimate, EstimateCache } from './facts/estimates.ts';
import type { FolderCache } from './facts/folder-facts.ts';
import { withoutIgnored } from './ignore-comments.ts';
import { type ConfigView, configProblems } from './problems/config-problems.ts';
import { factProblems } from './problems/fact-problems.ts';
import { atKey, type LintProblem } from './problems/lint-problem.ts';
import { fixedText } from './quick-fixes.ts';
import { type RecipeView, readRecipeView, type ViewSources } from './recipe-view.ts';

export interface ConfigSources extends Pick<ViewSources, 'models'> {
  readonly folders: FolderCache;
}

export interface LintSources extends ViewSources {
  /** {@link lintConfig}, here or in another process. May reject. */
  readonly lintConfig: (document: LintDocument) => Promise<readonly LintProblem[]>;
  readonly estimate: ComputeEstimate;
}

export interface LintDocument {
  readonly text: string;
  /** An absolute path. A file that is not a model config is read as a recipe. */
  readonly file: string;
}

/** All problems known so far that no comment suppresses, in text order; uses the view's estimate if there is one. */
export const recipeProblems = (view: RecipeView): LintProblem[] =>
  withoutIgnored(view, [...view.parsed.problems, ...factProblems(view)]).sort(
    (a, b) => a.range.start.line - b.range.start.line || a.range.start.column - b.range.start.column,
  );

/** Problems of a recipe including its memory, or of a config. Rejects only because of a bug. */
export async function lintDocument(document: LintDocument, sources: LintSources): Promise<readonly LintProblem[]> {
  const { text, file } = document;
  if ((documentKind(file) ?? 'recipe') !== 'recipe') return sources.lintConfig(document).catch(unreadableConfig);
  const view = await readRecipeView({ text, file, baseDir: path.dirname(file) }, sources);
  const estimates = new EstimateCache();
  const stopped = await estimates.compute(view, sources.estimate).then(
    () => [],
    (error: Error) => [whereStopped(view, error)],
  );
  return [...recipeProblems({ ...view, estimate: estimates.peek(view) }), ...stopped];
}

/** The problem of a document whose content cannot be checked within limits. */
export const unreadableConfig = ({ message }: Error): LintProblem[] => [
  { code: 'invalid-config', severity: 'error', message, path: [], range: START },
];

/** The problem of a model whose estimate took too much time or memory; any other error is a bug and is thrown. */
function whereStopped({ root }: RecipeView, error: Error): LintProblem {
  if (error.name !== 'ReadStopped') throw error;
  return atKey(root, { code: 'unreadable-model', path: ['model'], message: error.message });
}

/**
 * The text with every certain fix applied, or converted if it is a recipe of another tool. Configs are returned unchanged: only people
 * change them.
 */
export function fixDocument({ text, file }: LintDocument): string {
  const kind = documentKind(file) ?? 'recipe';
  return kind === 'recipe' ? fixedText({ text, file }) : text;
}

/** Problems of a model config; none for a file with another name. */
export async function lintConfig(document: LintDocument, sources: ConfigSources): Promise<LintProblem[]> {
  const kind = documentKind(document.file);
  return kind === undefined || kind === 'recipe' ? [] : configProblems(await readConfigView(document, kind, sources));
}

/** Reads the facts about a config. Never rejects. */
async function readConfigView({ text, file }: LintDocument, kind: ConfigKind, { folders, models }: ConfigSources): Promise<ConfigView> {
  const folder = path.dirname(file);
  const facts = await folders.look(folder);
  if (kind !== 'adapter') return { text, file, kind, facts };
  const [, name = ''] = /"base_model_name_or_path"\s*:\s*"([^"\\]+)"/.exec(text) ?? [];
  const [, revision = 'main'] = /"revision"\s*:\s*"([^"\\]+)"/.exec(text) ?? [];
  if (name === '') return { text, file, kind, facts };
  const base = await models.look(name, revision, folder);
  // A name that could be on the hub is never reported as missing.
  const isMissing = base.kind === 'missing';
  return {
    text,
    file,
    kind,
    facts,
    base: { isMissing, suggestion: isMissing ? base.suggestion : undefined, model: base.kind === 'ready' ? base.model : undefined },
  };
}
