/** Parses the text of a recipe into a resolved recipe and all its problems; used by the command line, the trainer and the editor. */
import { required } from '../../narrow.ts';
import type { Problem, Range } from '../problem.ts';
import { hasErrors } from '../problem.ts';
import { positionsIn } from '../text/line-starts.ts';
import { findTokens } from '../text/literal-token.ts';
import { checkSettings } from './check-settings.ts';
import { follow, type Located, locate, START } from './located.ts';
import { applyOverrides } from './overrides.ts';
import { groups, type Recipe, type ResolvedRecipe, settings } from './recipe-schema.ts';
import { recipeRules } from './rules/recipe-rules.ts';
import type { Rule } from './rules/rule.ts';

export interface ParseOptions {
  /** The file name, which decides whether hints about YAML readers apply; nothing is read from disk. */
  readonly fileName?: string;
  /**
   * Overrides `key=value` with dotted keys and YAML values. They take precedence over the file, the last one wins, and an empty value
   * removes a key.
   */
  readonly overrides?: readonly string[];
}

export interface ParsedRecipe {
  /** The recipe with every default filled in; present only if no problem is an error. */
  readonly recipe?: Recipe;
  /** The problems in text order; those of overrides come last. */
  readonly problems: readonly Problem[];
  /** The valid values, and defaults for all others. */
  readonly resolved: ResolvedRecipe;
}

/** Codes of problems that report something missing or in another place, which is unknowable if the text could not be read completely. */
const UNKNOWABLE: ReadonlySet<string> = new Set(['missing-key', 'no-training-data', 'empty-value', 'misplaced-key']);

/** Reads a recipe in YAML or JSON. Never throws, even for incomplete text; returns all problems at once. */
export function parseRecipe(text: string, { fileName = '', overrides = [] }: ParseOptions = {}): ParsedRecipe {
  const file = locate(text);
  const { root, problems: overrideProblems } = applyOverrides(file.root, overrides);
  const { values, invalid, problems: settingProblems } = checkSettings(root);
  const resolved = resolve(values);
  // Every setting is valid or at its default; a rule that reads a missing `model` does not run.
  const recipe = resolved as Recipe;
  const found = [
    ...file.problems,
    ...overrideProblems,
    ...settingProblems,
    ...runRules(recipe, values, invalid, root),
    ...literalTokens(text, overrides),
    ...(fileName.endsWith('.json') || root === undefined ? [] : numberHints(root, [])),
  ];
  const problems = (file.problems.some(({ code }) => code === 'invalid-yaml') ? found.filter(({ code }) => !UNKNOWABLE.has(code)) : found)
    .map(problem => (problem.range === START && problem.override === undefined ? { ...problem, range: firstKey(file.root) } : problem))
    .sort(inOrder);
  return hasErrors(problems) ? { problems: firstOf(problems), resolved } : { recipe, problems: firstOf(problems), resolved };
}

/** Maximum number of problems to return: more than anyone reads, and the editor marks each and searches for a fix. */
const MAX_PROBLEMS = 500;

/** The first problems up to the maximum; errors take precedence. */
function firstOf(problems: readonly Problem[]): readonly Problem[] {
  const more = problems.length - MAX_PROBLEMS;
  if (more <= 0) return problems;
  const isError = ({ severity }: Problem): boolean => severity === 'error';
  const kept = new Set([...problems.filter(isError), ...problems.filter(problem => !isError(problem))].slice(0, MAX_PROBLEMS));
  const next = required(
    problems.find(problem => !kept.has(problem)),
    'the first problem that is not listed',
  );
  const rest: Problem = {
    code: 'too-large',
    severity: 'info',
    message: `${more} more problems are not listed: fix these first`,
    path: [],
    range: next.range,
    override: next.override,
  };
  return [...kept, rest].sort(inOrder);
}

/** Fills in the defaults in table order. A default may depend on earlier settings, and on later ones that the recipe sets. */
function resolve(values: ReadonlyMap<string, unknown>): ResolvedRecipe {
  const given: Record<string, unknown> = Object.fromEntries(values);
  const resolved: Record<string, unknown> = {};
  const nested: Record<string, Record<string, unknown>> = Object.fromEntries(Object.keys(groups).map(name => [name, {}]));
  for (const [path, setting] of Object.entries(settings)) {
    const value = values.has(path) ? values.get(path) : setting.resolveDefault(given);
    const [group = '', name] = path.split('.');
    const home = name === undefined ? resolved : nested[group];
    if (name !== undefined) resolved[group] = home;
    if (value === undefined || home === undefined) continue;
    given[path] = value;
    home[name ?? group] = value;
  }
  // Every value of the table was checked or computed.
  return resolved as ResolvedRecipe;
}

function runRules(
  recipe: Recipe,
  values: ReadonlyMap<string, unknown>,
  invalid: ReadonlySet<string>,
  root: Located | undefined,
): Problem[] {
  const runnable = recipeRules.filter(({ reads }) => !reads.some(path => invalid.has(path)));
  return runnable.flatMap((rule: Rule) => {
    const findings = rule.check(recipe, path => values.has(path)) ?? [];
    return (Array.isArray(findings) ? findings : [findings]).map(({ at, on, message, suggestion }): Problem => {
      const path = at.split('.');
      const { found, complete } = root === undefined ? { found: undefined, complete: false } : follow(root, path);
      const range = found === undefined ? START : on === 'key' || !complete ? (found.keyRange ?? START) : found.range;
      // A default value has no text to replace or remove.
      return {
        code: rule.code,
        severity: rule.severity,
        message,
        path,
        range,
        suggestion: complete ? suggestion : undefined,
        override: found?.override,
      };
    });
  });
}

function literalTokens(text: string, overrides: readonly string[]): Problem[] {
  const message = 'access tokens in recipes leak into run folders and repositories: delete it and set HF_TOKEN in the environment instead';
  const report = (range: Range, override?: string): Problem => ({
    code: 'literal-token',
    severity: 'error',
    message,
    path: [],
    range,
    override,
  });
  const positionOf = positionsIn(text);
  const inFile = findTokens(text).map(({ start, end }) => report({ start: positionOf(start), end: positionOf(end) }));
  const inOverrides = overrides.flatMap(override =>
    findTokens(override).map(({ start, end }) => report({ start: { line: 0, column: start }, end: { line: 0, column: end } }, override)),
  );
  return [...inFile, ...inOverrides];
}

/** Hints for numbers with an exponent: YAML 1.1 readers (PyYAML) read them as text unless they have a dot and a signed exponent. */
function numberHints({ content, range, override }: Located, path: readonly (string | number)[]): Problem[] {
  if (content.kind === 'list') return content.items.flatMap((item, index) => numberHints(item, [...path, index]));
  if (content.kind === 'map') return [...content.entries].flatMap(([key, value]) => numberHints(value, [...path, key]));
  if (typeof content.value !== 'number' || override !== undefined) return [];
  const parts = /^([-+]?\d+)(\.\d*)?[eE]([-+]?)(\d+)$/.exec(content.source);
  if (parts === null || (parts[2] !== undefined && parts[3] !== '')) return [];
  const to = `${parts[1]}${parts[2] ?? '.0'}e${parts[3] === '' ? '+' : parts[3]}${parts[4]}`;
  const message = `PyYAML reads ${content.source} as text; write ${to}, which every reader takes for a number`;
  return [{ code: 'number-format', severity: 'info', message, path, range, suggestion: { kind: 'replace-value', to } }];
}

/** The range of the first key, where problems of the whole recipe are shown. */
function firstKey(root: Located | undefined): Range {
  if (root?.content.kind !== 'map') return START;
  return [...root.content.entries.values()][0]?.keyRange ?? START;
}

const inOrder = (a: Problem, b: Problem): number =>
  Number(a.override !== undefined) - Number(b.override !== undefined) ||
  a.range.start.line - b.range.start.line ||
  a.range.start.column - b.range.start.column;
