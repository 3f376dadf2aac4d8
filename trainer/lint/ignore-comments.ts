/**
 * Comments in a recipe that suppress a warning or a hint: `# rowtune-ignore code: reason`, on the line of the problem or on lines above it.
 * Several codes are separated by commas. An error stops the run, so no comment suppresses it. A comment that suppresses nothing is itself a
 * problem, so that no comment outlives its purpose.
 */
import { Lexer } from 'yaml';
import { didYouMean } from '../catalog/did-you-mean.ts';
import type { Range } from '../protocol/problem.ts';
import { MAX_RECIPE_CHARACTERS } from '../protocol/recipe/located.ts';
import { linesOf, positionsIn } from '../protocol/text/line-starts.ts';
import { diagnosticCodes, isMachineDiagnostic } from './diagnostics/diagnostics.ts';
import type { LintProblem } from './problems/lint-problem.ts';
import type { RecipeView } from './recipe-view.ts';

export const IGNORE_MARK = 'rowtune-ignore';

/** The codes of problems with such comments. */
export const ignoreCodes = ['invalid-ignore', 'unused-ignore'] as const;

/** Matches the marker, and captures the text after it. */
const COMMENT = new RegExp(String.raw`^#\s*${IGNORE_MARK}\b\s*(.*)$`);
/** Matches codes, a colon, and a reason. The number of codes is bounded, because each is compared with the problems of the line. */
const FORM = /^([\w-]{1,60}(?:\s*,\s*[\w-]{1,60}){0,19})\s*:\s*\S/;
/** Maximum number of comments that take effect: each is compared with all problems while the user is typing. */
const MAX_COMMENTS = 100;
/** Tokens of YAML's lexer that stand for no text: the start of a document, the end of a collection, the start of a scalar. */
const MARKERS: ReadonlySet<string> = new Set(['\x02', '\x18', '\x1f']);
const SCALAR_FOLLOWS = '\x1f';

interface IgnoreComment {
  readonly range: Range;
  /** The text after the marker. */
  readonly said: string;
  /** The line whose problems the comment suppresses. */
  readonly line: number;
}

type ViewOfIgnored = Pick<RecipeView, 'text' | 'estimate'>;

/** The problems that no comment suppresses, and the problems of the comments. */
export function withoutIgnored(view: ViewOfIgnored, problems: readonly LintProblem[]): LintProblem[] {
  const comments = ignoreComments(view.text);
  if (comments.length === 0) return [...problems];
  const read = comments.map(comment => ({ ...comment, codes: codesOf(comment) }));
  const ignores = ({ code, severity, range, override }: LintProblem): boolean =>
    severity !== 'error' && override === undefined && read.some(({ line, codes }) => line === range.start.line && codes.includes(code));
  const ofComments = read.flatMap(comment => problemsOf(comment, problems, view.estimate !== undefined));
  return [...problems.filter(problem => !ignores(problem)), ...ofComments];
}

/** The codes of a well-formed comment; none for a malformed one. */
const codesOf = ({ said }: IgnoreComment): string[] => FORM.exec(said)?.[1]?.split(/\s*,\s*/) ?? [];

function problemsOf(
  comment: IgnoreComment & { readonly codes: readonly string[] },
  problems: readonly LintProblem[],
  hasEstimate: boolean,
): LintProblem[] {
  const { range, line, codes } = comment;
  const report = (code: (typeof ignoreCodes)[number], message: string): LintProblem => ({
    code,
    severity: 'warning',
    message,
    path: [],
    range,
  });
  if (codes.length === 0)
    return [
      report(
        'invalid-ignore',
        `A comment that ignores a problem names its code and a reason: \`# ${IGNORE_MARK} code: reason\`. This one ignores nothing.`,
      ),
    ];
  return codes.flatMap(code => {
    if (!diagnosticCodes.includes(code)) {
      const near = didYouMean(code, diagnosticCodes);
      return [report('invalid-ignore', `There is no diagnostic '${code}'.${near === undefined ? '' : ` Did you mean '${near}'?`}`)];
    }
    const found = problems.filter(each => each.code === code && each.range.start.line === line && each.override === undefined);
    if (found.some(({ severity }) => severity !== 'error')) return [];
    if (found.length > 0) return [report('invalid-ignore', `'${code}' is an error here, which stops the run: no comment ignores it.`)];
    // Problems of the machine are unknown until the memory has been estimated.
    if (isMachineDiagnostic(code) && !hasEstimate) return [];
    return [report('unused-ignore', `Line ${line + 1} has no problem '${code}'. Delete the comment.`)];
  });
}

/** The comments in text order. JSON has no comments. */
function ignoreComments(text: string): IgnoreComment[] {
  if (!text.includes(IGNORE_MARK) || text.length > MAX_RECIPE_CHARACTERS) return [];
  const positions = positionsIn(text);
  const lines = linesOf(text);
  const settings = lines.flatMap((line, i) => (/^\s*(#|$)/.test(line) ? [] : [i]));
  const found: IgnoreComment[] = [];
  let offset = 0;
  let before = '';
  for (const token of new Lexer().lex(text)) {
    const said = before === SCALAR_FOLLOWS ? undefined : COMMENT.exec(token)?.[1];
    if (said !== undefined) {
      const range = { start: positions(offset), end: positions(offset + token.length) };
      const own = range.start.line;
      const isAlone = (lines[own] ?? '').slice(0, range.start.column).trim() === '';
      // A comment on its own line applies to the next setting.
      found.push({ range, said, line: (isAlone ? settings.find(i => i > own) : own) ?? own });
    }
    if (found.length === MAX_COMMENTS) break;
    if (!MARKERS.has(token)) offset += token.length;
    before = token;
  }
  return found;
}
