/** The open documents: the kind of each, and its view, which is read once per text and again when files may have changed. */
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DocumentKind, documentKind } from '../trainer/lint/document-kind.ts';
import type { EstimateCache } from '../trainer/lint/facts/estimates.ts';
import { type LintSources, recipeProblems, unreadableConfig } from '../trainer/lint/lint.ts';
import type { LintProblem } from '../trainer/lint/problems/lint-problem.ts';
import { type RecipeView, readRecipeView, type ViewSources } from '../trainer/lint/recipe-view.ts';

/** Time in ms during which files around a recipe are assumed unchanged; the editor also reports changes. */
const FRESH_MS = 1000;

export type DocumentSources = ViewSources & Pick<LintSources, 'lintConfig'>;

interface Open {
  readonly uri: string;
  readonly kind: DocumentKind;
  readonly text: string;
  view?: { readonly at: number; readonly value: Promise<RecipeView> };
}

export class Documents {
  private readonly open = new Map<string, Open>();
  private readonly sources: DocumentSources;
  private readonly estimates: EstimateCache;
  /** Base folder of the paths in unsaved recipes. */
  folder = os.homedir();

  constructor(sources: DocumentSources, estimates: EstimateCache) {
    this.sources = sources;
    this.estimates = estimates;
  }

  set(uri: string, text: string): void {
    const kind = documentKind(uri);
    if (kind !== undefined) this.open.set(uri, { uri, kind, text });
  }

  close(uri: string): void {
    this.open.delete(uri);
  }

  /** Returns the text; undefined if the document is not open. */
  text(uri: string): string | undefined {
    return this.open.get(uri)?.text;
  }

  uris(): string[] {
    return [...this.open.keys()];
  }

  /** Discards the views, because files around the documents changed. */
  forgetViews(): void {
    for (const open of this.open.values()) open.view = undefined;
  }

  /** Returns the view; undefined if the document is not open or is not a recipe. */
  async view(uri: string): Promise<RecipeView | undefined> {
    const open = this.open.get(uri);
    if (open?.kind !== 'recipe') return undefined;
    if (open.view === undefined || Date.now() - open.view.at > FRESH_MS) {
      const file = this.file(uri);
      const value = readRecipeView({ text: open.text, file, baseDir: path.dirname(file) }, this.sources);
      open.view = { at: Date.now(), value };
    }
    const view = await open.view.value;
    return { ...view, estimate: this.estimates.peek(view) };
  }

  async problems(uri: string): Promise<readonly LintProblem[]> {
    const open = this.open.get(uri);
    if (open === undefined) return [];
    const { text, kind } = open;
    if (kind !== 'recipe') return this.sources.lintConfig({ text, file: this.file(uri) }).catch(unreadableConfig);
    const view = await this.view(uri);
    return view === undefined ? [] : recipeProblems(view);
  }

  /** The input of quick fixes for a recipe or a config. */
  source(uri: string): { readonly text: string; readonly file: string } | undefined {
    const open = this.open.get(uri);
    return open === undefined ? undefined : { text: open.text, file: this.file(uri) };
  }

  private file(uri: string): string {
    return pathOf(uri) ?? path.join(this.folder, path.posix.basename(uri.replace(/^[\w-]+:/, '')));
  }
}

/** The path of a file on this machine; undefined for other documents, and for addresses that no file can have (`file://.`). */
export function pathOf(uri: string): string | undefined {
  if (!uri.startsWith('file:')) return undefined;
  try {
    return fileURLToPath(uri);
  } catch {
    return undefined;
  }
}
