/** Problems as SARIF 2.1.0, which code hosts and CI systems show next to the lines. Pure. */
import type { Severity } from '../protocol/problem.ts';
import { recipeRules } from '../protocol/recipe/rules/recipe-rules.ts';
import { diagnosticOf } from './diagnostics/diagnostics.ts';
import type { LintProblem } from './problems/lint-problem.ts';

export interface LintedFile {
  /** A URI, relative to the folder in which the linter ran, or absolute. */
  readonly uri: string;
  readonly problems: readonly LintProblem[];
}

export interface SarifParams {
  readonly version: string;
  readonly files: readonly LintedFile[];
  /** Converts a path to a URI, for positions in other files. */
  readonly toUri: (file: string) => string;
}

const ruleDocs: ReadonlyMap<string, string> = new Map(recipeRules.map(({ code, doc }) => [code, doc]));
const SCHEMA = 'https://json.schemastore.org/sarif-2.1.0.json';
const levels: Readonly<Record<Severity, 'error' | 'warning' | 'note'>> = { error: 'error', warning: 'warning', info: 'note' };

const helpOf = (code: string): string => {
  const { about, fix } = diagnosticOf(code) ?? { about: `See docs/reference/diagnostics.md#${code}` };
  return fix === undefined ? about : `${about} Fix: ${fix}`;
};

export function toSarif({ version, files, toUri }: SarifParams): object {
  const codes = [...new Set(files.flatMap(({ problems }) => problems.map(({ code }) => code)))].sort();
  const rules = codes.map(id => ({
    id,
    ...(ruleDocs.has(id) ? { shortDescription: { text: ruleDocs.get(id) } } : {}),
    help: { text: helpOf(id) },
  }));
  const results = files.flatMap(({ uri, problems }) =>
    problems.map(({ code, severity, message, range, related }) => ({
      ruleId: code,
      ruleIndex: codes.indexOf(code),
      level: levels[severity],
      message: { text: message },
      locations: [{ physicalLocation: { artifactLocation: { uri }, region: regionOf(range) } }],
      ...(related === undefined
        ? {}
        : {
            relatedLocations: [
              {
                id: 0,
                message: { text: related.message },
                physicalLocation: { artifactLocation: { uri: toUri(related.file) }, region: { startLine: related.line + 1 } },
              },
            ],
          }),
    })),
  );
  const driver = { name: 'rowtune', semanticVersion: version, rules };
  const artifacts = files.map(({ uri }) => ({ location: { uri } }));
  return { $schema: SCHEMA, version: '2.1.0', runs: [{ tool: { driver }, columnKind: 'utf16CodeUnits', artifacts, results }] };
}

/** A range in SARIF: lines and columns from 1; the end is exclusive. */
const regionOf = ({ start, end }: LintProblem['range']): object => ({
  startLine: start.line + 1,
  startColumn: start.column + 1,
  endLine: end.line + 1,
  endColumn: end.column + 1,
});
