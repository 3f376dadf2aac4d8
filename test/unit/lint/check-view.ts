/**
 * The only helper through which fixtures use the linter. A fixture is a recipe or a model config with, under each line, the problems of
 * that line: carets, severity, code and the fix. It is checked in a folder with models, data of several kinds, runs, and a given amount of
 * free memory.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { CardName } from '../../../trainer/catalog/cards.ts';
import { estimateModel } from '../../../trainer/lint/facts/estimate-model.ts';
import { EstimateCache } from '../../../trainer/lint/facts/estimates.ts';
import { type LintSources, lintDocument, recipeProblems } from '../../../trainer/lint/lint.ts';
import type { LintProblem } from '../../../trainer/lint/problems/lint-problem.ts';
import { type FarDaemon, type RecipeView, readRecipeView } from '../../../trainer/lint/recipe-view.ts';
import { readSources } from '../../../trainer/reader/lint-sources.ts';
import { readHere } from '../../support/daemon/reader.ts';

const golden = path.join(import.meta.dirname, '..', '..', 'golden');

const lines = (count: number, line: string): string => `${line}\n`.repeat(count);
/** A tokenizer with this largest id; the tiny Llama has 128 rows. @param added the id of its added token */
const tokenizer = (largest: number, added: number): string =>
  JSON.stringify({ model: { vocab: { a: 0, b: largest } }, added_tokens: [{ id: added, content: '<x>' }] });

/** The state of a run that ended before its first update. */
const refused = { state: 'failed', name: 'refused', step: 0, totalSteps: 0, pid: 1, startedAt: '2026-01-01', updatedAt: '2026-01-01' };

const files: Readonly<Record<string, string>> = {
  'spam.jsonl': '{"text":"lunch?","label":"ham"}\n{"text":"WIN","label":"spam"}\n',
  'spelled.jsonl': '{"text":"lunch?","label":"ham"}\n{"text":"WIN","label":"Spam"}\n{"text":"GO","label":" spam"}\n',
  'hundred.jsonl': lines(100, '{"text":"lunch?"}'),
  'hundred.csv': `text,label\n${lines(100, '"two\nlines",ham')}`,
  'flags.csv': 'text,urgent,angry\nnow!,1,0\nlunch?,0,0\n',
  'words.jsonl': '{"tokens":["Ada","Lovelace","wrote"],"tags":["B-PER","I-PER","O"]}\n',
  'mails.csv': 'body,kind\nlunch?,ham\nWIN,spam\n',
  'empty.jsonl': '',
  'broken.jsonl': '{"text":"a","label":"ham"}\n{"text":\n',
  'list.jsonl': '["text"]\n',
  'wrong-type.jsonl': '{"text":"a","label":"ham"}\n{"text":7,"label":"ham"}\n',
  'strangers.jsonl': '{"question":"a","answer":"b"}\n',
  'two-formats.jsonl': '{"text":"a"}\n{"prompt":"a","completion":"b"}\n',
  'chats.jsonl': '{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}\n',
  'prompts.csv': 'prompt,completion\nWhy?,So.\n',
  'tools.jsonl':
    '{"tools":[{"type":"function","function":{"name":"look","parameters":{}}}],"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}\n',
  'system.jsonl': lines(
    3,
    '{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}',
  ),
  'bad-chats.jsonl': '{"messages":[{"role":"user"}]}\n',
  'ragged.csv': 'text,label\na,b,c\n',
  'pairs.jsonl': '{"sentence1":"a","sentence2":"b","score":"4.5"}\n{"sentence1":"a","sentence2":"b","score":"high"}\n',
  'birds/cat/1.png': '',
  'birds/owl/1.png': '',
  'birds/swift/1.png': '',
  'photos/cat/1.png': '',
  'photos/dog/1.png': '',
  'cats/cat/1.png': '',
  'listed/images/1.png': '',
  'listed/val_annotations.txt': '1.png\tcat\t0\t0\t9\t9\n2.png\tdog\t0\t0\t9\t9\n',
  'listed-birds/val_annotations.txt': '1.png\towl\n',
  'listed-badly/val_annotations.txt': 'images/1.png owl\n',
  'thumbs.jsonl': [true, true, true, true, false, false]
    .map((label, n) => `${JSON.stringify({ prompt: `Q${n}`, completion: 'yes', label })}\n`)
    .join(''),
  'thumbs-up.jsonl': '{"prompt":"Q","completion":"yes","label":true}\n{"prompt":"R","completion":"no","label":true}\n',
  'ranked.jsonl':
    '{"query":"a","document":"b","label":1}\n{"query":"a","document":"c","label":0}\n{"query":"d","document":"e","label":1}\n',
  'echoes.jsonl':
    '{"prompt":"Is 91 prime?","chosen":" No.","rejected":" Yes."}\n{"prompt":"Why?","chosen":"Why? It is 7 · 13.","rejected":"So."}\n',
  'twins.jsonl': '{"anchor":"a","positive":"b"}\n{"anchor":"c","positive":"c"}\n',
  'all-ham.jsonl': lines(30, '{"text":"lunch?","label":"ham"}'),
  'ten.jsonl': Array.from({ length: 20 }, (_, i) => `{"text":"lunch?","label":${i % 10}}\n`).join(''),
  'unbalanced.jsonl': Array.from({ length: 24 }, (_, i) => `{"text":"lunch?","label":${i < 10 ? i : 0}}\n`).join(''),
  'mostly.jsonl': `${lines(30, '{"text":"lunch?","label":"ham"}')}{"text":"WIN","label":"spam"}\n`,
  'films/a.jsonl': '{"text":"good","label":1}\n{"text":"bad","label":0}\n',
  'films/dataset_info.json': '{"features":{"text":{},"label":{"names":["neg","pos"],"_type":"ClassLabel"}}}',
  'swapped/a.jsonl': '{"text":"good","label":0}\n{"text":"bad","label":1}\n',
  'swapped/dataset_info.json': '{"features":{"text":{},"label":{"names":["pos","neg"],"_type":"ClassLabel"}}}',
  'notes.docx': 'no data',
  'bert/config.json': '{"architectures":["FrobertForMaskedLM"]}',
  'empty/readme.txt': 'Nothing else is here.',
  'pickled/config.json': readFileSync(path.join(golden, 'llama', 'config.json'), 'utf8'),
  'pickled/pytorch_model.bin': 'x',
  'models/no-json/config.json': '{"architectures": [',
  ...Object.fromEntries(
    ['tiny', 'no-pad', 'chatty', 'bad-template', 'bert', 'gptq', 'fp8'].map(name => [`models/${name}/tokenizer.json`, tokenizer(1, 2)]),
  ),
  'models/tokenized/tokenizer.json': tokenizer(129, 130),
  'models/of-another/tokenizer.json': tokenizer(129, 130),
  'models/with-images/tokenizer.json': tokenizer(127, 128),
  'models/chatty/chat_template.jinja':
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
  'models/bad-template/chat_template.jinja': '{% for m in messages %}{{ m.content }}',
  'models/no-pad/tokenizer_config.json': '{"eos_token": "</s>"}',
  'models/damaged/model.safetensors': 'not safetensors at all',
  'models/mismatch/config.json': readFileSync(path.join(golden, 'llama', 'config.json'), 'utf8').replace(
    '"vocab_size": 128',
    '"vocab_size": 100',
  ),
  'models/sharded/model.safetensors.index.json': JSON.stringify({
    weight_map: { 'model.embed_tokens.weight': 'model-00001-of-00002.safetensors', 'lm_head.weight': 'model-00002-of-00002.safetensors' },
  }),
  'runs/a/state.json': '{}',
  'runs/a-2/state.json': '{}',
  'runs/done/state.json': '{}',
  'runs/refused/state.json': JSON.stringify(refused),
  'runs/writer/state.json': JSON.stringify(refused),
  'runs/writer/recipe.yaml': 'model: models/tiny\n',
  'runs/judge/state.json': JSON.stringify(refused),
  'runs/judge/recipe.yaml': 'model: models/tiny\ntask: reward\n',
  'full/notes.txt': 'x',
  'adapters/no-factors/readme.txt': '',
  'adapters/damaged/adapter_model.safetensors': 'x',
};

/**
 * Creates a workspace with the tiny Llama of the golden numbers as `models/tiny`, some broken variants of it, an adapter of it, and
 * `files`.
 */
export function makeWorkspace(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'rowtune-lint-'));
  const copy = (from: string, to: string): void => cpSync(path.join(golden, from), path.join(folder, to), { recursive: true });
  copy('llama', 'models/tiny');
  for (const name of ['no-pad', 'of-another', 'with-images', 'chatty', 'bad-template', 'no-tokenizer']) copy('llama', `models/${name}`);
  copy('llama/model.safetensors', 'models/tokenized/model.safetensors');
  copy('llama/model.safetensors', 'models/sharded/model-00001-of-00002.safetensors');
  copy('llama_own_head/model.safetensors', 'models/own-head/model.safetensors');
  copy('llama/model.safetensors', 'models/mismatch/model.safetensors');
  copy('llama/model.safetensors', 'bert/model.safetensors');
  for (const family of ['bert', 'vit', 'resnet', 'gpt_neox', 'gpt2']) copy(family, `models/${family}`);
  for (const form of ['gptq', 'fp8']) copy(`qwen3_${form}`, `models/${form}`);
  copy('deberta_torch', 'models/torch');
  copy('llama_torch', 'models/torch-shards');
  rmSync(path.join(folder, 'models/torch-shards/pytorch_model-00002-of-00002.bin'));
  copy('llama_lora_adapter', 'adapters/lora');
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
  readonly farDaemon?: FarDaemon;
  readonly card?: CardName;
}

export const sourcesOf = ({ folder, availableBytes = 64e9, farDaemon, card }: ViewOptions): LintSources => ({
  ...readSources(readHere, path.join(folder, 'cache')),
  availableBytes: () => availableBytes,
  deviceHere: () => ({ device: 'cpu' }),
  farDaemon: () => farDaemon,
  card: () => card,
});

/** Returns the view of a recipe with its estimate. */
export async function viewOf(text: string, options: ViewOptions): Promise<RecipeView> {
  const file = path.join(options.folder, options.name ?? 'a.rowtune.yaml');
  const view = await readRecipeView({ text, file, baseDir: path.dirname(file) }, sourcesOf(options));
  const estimates = new EstimateCache({ allLevels: true, compare: true });
  while (estimates.isDue(view)) await estimates.compute(view, params => estimateModel(params));
  return { ...view, estimate: estimates.peek(view) };
}

export const problemsOf = (view: RecipeView): LintProblem[] => recipeProblems(view);

/** Lints a recipe or a config, recognized by its name. */
export const lint = (text: string, { name = 'a.rowtune.yaml', ...options }: ViewOptions): Promise<readonly LintProblem[]> =>
  lintDocument({ text, file: path.join(options.folder, name) }, sourcesOf(options));

const isNote = (line: string): boolean => /^\s*\^+ (?:error|warning|info) /.test(line);

/** Removes the notes, checks, and writes the correct notes. */
export async function checkFixture(fixture: string, options: ViewOptions): Promise<string> {
  const text = fixture.split('\n').filter(line => !isNote(line));
  return annotate(text, await lint(text.join('\n'), options));
}

const annotate = (text: readonly string[], problems: readonly LintProblem[]): string =>
  text
    .flatMap((line, index) => [line, ...problems.filter(({ range }) => range.start.line === index).map(found => note(found, line))])
    .join('\n');

function note({ range, severity, code, suggestion }: LintProblem, line: string): string {
  const end = range.end.line === range.start.line ? range.end.column : line.length;
  const wayOut = suggestion === undefined ? '' : ` ${suggestion.kind}${'to' in suggestion ? ` ${suggestion.to}` : ''}`;
  return `${' '.repeat(range.start.column)}${'^'.repeat(Math.max(1, end - range.start.column))} ${severity} ${code}${wayOut}`;
}

/** Returns the text without its one `|`, and the position of that. */
export function atCursor(marked: string): { text: string; at: { line: number; column: number } } {
  const offset = marked.indexOf('|');
  const before = marked.slice(0, offset).split('\n');
  return { text: marked.slice(0, offset) + marked.slice(offset + 1), at: { line: before.length - 1, column: before.at(-1)?.length ?? 0 } };
}
