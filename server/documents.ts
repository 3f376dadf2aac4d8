/** The open documents: what kind each is, and its view, read once for each text and again when files may have changed. */
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readModelHeaders } from '../trainer/hub/open-model.ts';
import { configProblems, isModelConfig } from '../trainer/lint/config-problems.ts';
import type { EstimateCache } from '../trainer/lint/estimates.ts';
import { factProblems } from '../trainer/lint/fact-problems.ts';
import { type RecipeView, readRecipeView, type LintProblem, type ViewSources } from '../trainer/lint/recipe-view.ts';

export type DocumentKind = 'recipe' | 'config';

/** Within this time the files around a recipe are taken to be as they were; the editor also tells of changes. */
const FRESH_MS = 1000;

interface Open {
  readonly uri: string;
  readonly kind: DocumentKind;
  readonly text: string;
  view?: { readonly at: number; readonly value: Promise<RecipeView> };
}

/** By its name; undefined for a document that is neither a recipe nor a model's config. */
export function documentKind(uri: string): DocumentKind | undefined {
  const name = uri.replace(/[?#].*$/, '');
  if (/\.rowtune\.(?:ya?ml|json)$/i.test(name)) return 'recipe';
  return /(?:^|\/)config\.json$/.test(name) ? 'config' : undefined;
}

export class Documents {
  readonly #open = new Map<string, Open>();
  readonly #sources: ViewSources;
  readonly #estimates: EstimateCache;
  /** Where paths of unsaved recipes begin. */
  folder = os.homedir();

  constructor(sources: ViewSources, estimates: EstimateCache) {
    this.#sources = sources;
    this.#estimates = estimates;
  }

  set(uri: string, text: string): void {
    const kind = documentKind(uri);
    if (kind !== undefined) this.#open.set(uri, { uri, kind, text });
  }

  close(uri: string): void {
    this.#open.delete(uri);
  }

  /** Undefined for a document that is not open. */
  text(uri: string): string | undefined {
    return this.#open.get(uri)?.text;
  }

  uris(): string[] {
    return [...this.#open.keys()];
  }

  /** Files around the documents have changed. */
  forgetViews(): void {
    for (const open of this.#open.values()) open.view = undefined;
  }

  /** Undefined for a document that is not open or is no recipe. */
  async view(uri: string): Promise<RecipeView | undefined> {
    const open = this.#open.get(uri);
    if (open?.kind !== 'recipe') return undefined;
    if (open.view === undefined || Date.now() - open.view.at > FRESH_MS) {
      const file = this.#file(uri);
      const value = readRecipeView({ text: open.text, file, baseDir: path.dirname(file) }, this.#sources);
      open.view = { at: Date.now(), value };
    }
    const view = await open.view.value;
    return { ...view, estimate: this.#estimates.peek(view) };
  }

  async problems(uri: string): Promise<readonly LintProblem[]> {
    const open = this.#open.get(uri);
    if (open?.kind === 'config') return this.#configProblems(open);
    const view = await this.view(uri);
    return view === undefined ? [] : [...view.parsed.problems, ...factProblems(view)];
  }

  async #configProblems({ uri, text }: Open): Promise<readonly LintProblem[]> {
    if (!isModelConfig(text)) return [];
    const file = this.#file(uri);
    // Weights that can't be read, or none beside the config, have nothing to be compared with.
    const headers = await readModelHeaders(path.dirname(file)).catch(() => undefined);
    return configProblems(text, file, headers?.tensors);
  }

  #file(uri: string): string {
    if (uri.startsWith('file:')) return fileURLToPath(uri);
    return path.join(this.folder, path.posix.basename(uri.replace(/^[\w-]+:/, '')));
  }
}
