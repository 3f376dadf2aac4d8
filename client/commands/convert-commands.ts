/** Convert Recipe: converts a recipe of another tool to one of ours. */
import path from 'node:path';
import { type TextDocument, Uri, WorkspaceEdit, window, workspace } from 'vscode';
import { orList } from '../../trainer/catalog/entries.ts';
import { recipeToolLabels } from '../../trainer/catalog/recipe-tools.ts';
import { counted } from '../../trainer/protocol/text/format.ts';
import { MAX_FOREIGN_LENGTH } from '../recipe/foreign-marks.ts';
import { type ForeignRecipe, foreignRecipe } from '../recipe/foreign-recipes.ts';
import { findRecipes, uriOf } from '../recipe/recipe-files.ts';
import { EXCLUDED_GLOB, isRecipeName, recipeStem } from '../recipe/recipe-names.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandTable } from './command-ids.ts';

/** Maximum number of workspace files that are searched if no recipe is open. */
const MAX_FILES = 500;
const GLOB = '**/*.{yaml,yml,json}';

export const convertCommands = ({ app }: CommandContext): CommandTable<'convertRecipe'> => ({
  convertRecipe: async argument => {
    const document = await documentFor(argument);
    if (document === undefined) return;
    const { uri } = document;
    const name = path.posix.basename(uri.path);
    const converted = await foreignRecipe(document.getText(), uri.path);
    if (converted === undefined) return app.notify.warn(`${name} is not a recipe of ${orList(recipeToolLabels)}.`);
    if (isRecipeName(uri.path)) await replace(document, converted.text);
    else await writeNextTo(uri, converted.text);
    const { tool, dropped } = converted;
    const lost =
      dropped.length === 0
        ? ''
        : ` ${counted(dropped.length, 'key')} of ${tool} ${dropped.length === 1 ? 'has' : 'have'} no counterpart: ${listed(dropped)}.`;
    app.notify.info(`${name} was converted from ${tool}.${lost}`);
  },
});

const MAX_LISTED = 5;
const listed = (keys: readonly string[]): string =>
  keys.length <= MAX_LISTED ? keys.join(', ') : `${keys.slice(0, MAX_LISTED).join(', ')} and ${keys.length - MAX_LISTED} more`;

/**
 * Returns the file that a lens or a menu names. Otherwise, the file in the active editor if it is a recipe of another tool, or the user's
 * choice.
 */
async function documentFor(argument: unknown): Promise<TextDocument | undefined> {
  const named = uriOf(argument);
  if (named !== undefined) return workspace.openTextDocument(named);
  const active = window.activeTextEditor?.document;
  if (active !== undefined && (await foreignRecipe(active.getText(), active.uri.path)) !== undefined) return active;
  const found = await foreignFiles();
  if (found.length === 0) {
    void window.showInformationMessage(`No recipe of ${orList(recipeToolLabels)} was found in this workspace.`);
    return undefined;
  }
  const items = found.map(({ uri, tool }) => ({ label: workspace.asRelativePath(uri), description: tool, uri }));
  const chosen = await window.showQuickPick(items, { placeHolder: 'Select a recipe to convert', matchOnDescription: true });
  return chosen && workspace.openTextDocument(chosen.uri);
}

async function foreignFiles(): Promise<readonly (Pick<ForeignRecipe, 'tool'> & { readonly uri: Uri })[]> {
  const uris = await workspace.findFiles(GLOB, EXCLUDED_GLOB, MAX_FILES);
  const found = await Promise.all(
    uris.map(async uri => {
      const { size } = await workspace.fs.stat(uri);
      if (size > MAX_FOREIGN_LENGTH) return [];
      const recipe = await foreignRecipe(new TextDecoder().decode(await workspace.fs.readFile(uri)), uri.path);
      return recipe === undefined ? [] : [{ uri, tool: recipe.tool }];
    }),
  );
  return found.flat();
}

async function replace(document: TextDocument, text: string): Promise<void> {
  const edit = new WorkspaceEdit();
  const whole = document.validateRange(document.lineAt(0).range.with({ end: document.lineAt(document.lineCount - 1).range.end }));
  edit.replace(document.uri, whole, text);
  await workspace.applyEdit(edit);
  await window.showTextDocument(document);
}

/** Writes the converted recipe next to the original, which stays unchanged. */
async function writeNextTo(original: Uri, text: string): Promise<void> {
  const ending = path.posix.extname(original.path);
  const folder = original.scheme === 'file' ? Uri.joinPath(original, '..') : workspace.workspaceFolders?.[0]?.uri;
  const stem = path.posix.basename(original.path, ending);
  if (folder === undefined) {
    await window.showTextDocument(await workspace.openTextDocument({ content: text, language: ending === '.json' ? 'json' : 'yaml' }));
    return;
  }
  const taken = new Set((await findRecipes()).map(uri => recipeStem(uri.path)));
  const { freeStem } = await (await import('../lazy-modules.ts')).recipeText();
  const uri = Uri.joinPath(folder, `${freeStem(stem, taken)}.rowtune${ending === '.json' ? '.json' : '.yaml'}`);
  await workspace.fs.writeFile(uri, new TextEncoder().encode(text));
  await window.showTextDocument(uri, { preview: false });
}
