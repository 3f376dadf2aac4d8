/** A problem that the linter reports: a problem of the recipe reader, possibly with a related position in another file. */
import type { Problem, Severity } from '../../protocol/problem.ts';
import { follow, type Located, START } from '../../protocol/recipe/located.ts';

export interface LintProblem extends Problem {
  /** A valid value (YAML text) for a setting that the text does not contain yet. */
  readonly insert?: string;
  /** Settings that fix it together. */
  readonly rewrite?: Rewrite;
  readonly related?: { readonly file: string; readonly line: number; readonly message: string };
}

export interface Rewrite {
  /** The effect of the settings, in the imperative. */
  readonly title: string;
  /** Changes in order; a value is YAML text, and undefined removes the setting. */
  readonly settings: readonly { readonly path: readonly (string | number)[]; readonly to: string | undefined }[];
}

export interface KeyReport<Code extends string> {
  readonly code: Code;
  /** The severity; 'error' if left out. */
  readonly severity?: Severity;
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** A valid value, as YAML or JSON text. */
  readonly replaceBy?: string;
  /** True if the key itself is the problem, not its value. */
  readonly isKey?: boolean;
  /** The right name of the key. */
  readonly renameTo?: string;
}

/**
 * Places a problem at the value, or at the key if that is the problem. What the text does not contain is reported at the deepest existing key
 * of the path, or at the first key.
 */
export function atKey<Code extends string>(
  root: Located | undefined,
  { severity = 'error', replaceBy, isKey = false, renameTo, ...report }: KeyReport<Code>,
): LintProblem {
  if (root === undefined) return { ...report, severity, range: START };
  const { found, complete } = follow(root, report.path);
  const isWhole = found === root;
  const first = root.content.kind === 'map' ? [...root.content.entries.values()][0]?.keyRange : undefined;
  const isBlock = found.content.kind !== 'scalar' && found.range.start.line !== found.range.end.line;
  const range = isWhole ? (first ?? START) : complete && !isBlock && !isKey ? found.range : (found.keyRange ?? found.range);
  if (complete && renameTo !== undefined) return { ...report, severity, range, suggestion: { kind: 'rename-key', to: renameTo } };
  const isReplaceable = complete && found.content.kind === 'scalar' && replaceBy !== undefined;
  return { ...report, severity, range, suggestion: isReplaceable ? { kind: 'replace-value', to: replaceBy } : undefined };
}
