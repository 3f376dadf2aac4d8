/**
 * The one helper through which fixtures touch the server. A fixture is a recipe with, under each line, the problems of that line: carets,
 * severity, code and the way out. It is checked in a folder with a model, data of several kinds, and as much free memory as is asked for.
 */
import { cpSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DataCache } from '../../../trainer/lint/data-facts.ts';
import { answerEstimate, EstimateCache } from '../../../trainer/lint/estimates.ts';
import { factProblems } from '../../../trainer/lint/fact-problems.ts';
import { ModelCache } from '../../../trainer/lint/model-facts.ts';
import { type RecipeView, readRecipeView, type LintProblem } from '../../../trainer/lint/recipe-view.ts';

const golden = path.join(import.meta.dirname, '..', '..', 'golden');

const files: Readonly<Record<string, string>> = {
  'spam.jsonl': '{"text":"lunch?","label":"ham"}\n{"text":"WIN","label":"spam"}\n',
  'mails.csv': 'body,kind\nlunch?,ham\nWIN,spam\n',
  'broken.jsonl': '{"text":"a","label":"ham"}\n{"text":\n',
  'wrong-type.jsonl': '{"text":"a","label":"ham"}\n{"text":7,"label":"ham"}\n',
  'chats.jsonl': '{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}\n',
  'notes.docx': 'no data',
  'bert/config.json': '{"architectures":["BertForMaskedLM"]}',
  'empty/readme.txt': '',
};

/** The tiny Llama of the golden numbers as `models/tiny`, and `files`. */
export function makeWorkspace(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'rowtune-server-'));
  cpSync(path.join(golden, 'llama'), path.join(folder, 'models', 'tiny'), { recursive: true });
  cpSync(path.join(golden, 'llama', 'model.safetensors'), path.join(folder, 'bert', 'model.safetensors'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
  return folder;
}

export interface ViewOptions {
  readonly folder: string;
  readonly name?: string;
  readonly availableBytes?: number;
}

/** With its estimate. */
export async function viewOf(text: string, { folder, name = 'a.rowtune.yaml', availableBytes = 64e9 }: ViewOptions): Promise<RecipeView> {
  const sources = { models: new ModelCache(path.join(folder, 'cache')), data: new DataCache(), availableBytes: () => availableBytes };
  const view = await readRecipeView({ text, file: path.join(folder, name), baseDir: folder }, sources);
  const estimates = new EstimateCache();
  await estimates.compute(view, answerEstimate);
  return { ...view, estimate: estimates.peek(view) };
}

export const problemsOf = (view: RecipeView): LintProblem[] => [...view.parsed.problems, ...factProblems(view)];

const isNote = (line: string): boolean => /^\s*\^+ (?:error|warning|info) /.test(line);

/** Strips the notes, checks, and writes the notes back as they should be. */
export async function checkView(fixture: string, options: ViewOptions): Promise<string> {
  const lines = fixture.split('\n').filter(line => !isNote(line));
  return annotate(lines, problemsOf(await viewOf(lines.join('\n'), options)));
}

export const annotate = (lines: readonly string[], problems: readonly LintProblem[]): string =>
  lines
    .flatMap((line, index) => [line, ...problems.filter(({ range }) => range.start.line === index).map(found => note(found, line))])
    .join('\n');

function note({ range, severity, code, suggestion }: LintProblem, line: string): string {
  const end = range.end.line === range.start.line ? range.end.column : line.length;
  const wayOut = suggestion === undefined ? '' : ` ${suggestion.kind}${'to' in suggestion ? ` ${suggestion.to}` : ''}`;
  return `${' '.repeat(range.start.column)}${'^'.repeat(Math.max(1, end - range.start.column))} ${severity} ${code}${wayOut}`;
}

/** The text without its one `|`, and where that stood. */
export function atCursor(marked: string): { text: string; at: { line: number; column: number } } {
  const offset = marked.indexOf('|');
  const before = marked.slice(0, offset).split('\n');
  return { text: marked.slice(0, offset) + marked.slice(offset + 1), at: { line: before.length - 1, column: before.at(-1)?.length ?? 0 } };
}
