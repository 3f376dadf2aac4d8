/** Finds the recipe that a command is about, and its text in the buffer. */
import path from 'node:path';
import { Uri, window, workspace } from 'vscode';
import type { RecipeSource } from '../../trainer/protocol/messages/rpc-messages.ts';
import type { ClientSettings } from '../client-settings.ts';
import { EXCLUDED_GLOB, hasSweepSection, inOrderOfUse, isRecipeName, RECIPE_GLOB, recipeStem } from './recipe-names.ts';

/** Maximum number of recipes found: nobody picks from more. */
const MAX_FOUND = 500;

/** Returns the recipe that a menu or lens names. Otherwise, the recipe in the active editor, or the user's choice. */
export async function recipeFor(argument: unknown, placeHolder: string): Promise<Uri | undefined> {
  const known = uriOf(argument) ?? activeRecipe();
  if (known !== undefined) return known;
  const recipes = await findRecipes();
  if (recipes.length > 0) return pickRecipe(placeHolder, recipes);
  void window.showInformationMessage('There is no recipe in this workspace yet. Create one with Rowtune: New Recipe.');
  return undefined;
}

/** Returns the URI that a lens passes as text or a menu as an object. A path may contain colons and begin with a drive letter. */
export function uriOf(argument: unknown): Uri | undefined {
  if (argument instanceof Uri) return argument;
  return typeof argument === 'string' && /^[a-z][a-z\d+.-]+:/i.test(argument) ? Uri.parse(argument, true) : undefined;
}

export function activeRecipe(): Uri | undefined {
  const uri = window.activeTextEditor?.document.uri;
  return uri !== undefined && isRecipeName(uri.path) ? uri : undefined;
}

/** Finds the recipes of the workspace, including open ones that were never saved. */
export async function findRecipes(): Promise<readonly Uri[]> {
  const found = await workspace.findFiles(RECIPE_GLOB, EXCLUDED_GLOB, MAX_FOUND);
  const open = workspace.textDocuments.map(({ uri }) => uri).filter(uri => isRecipeName(uri.path));
  const unsaved = open.filter(uri => !found.some(each => each.toString() === uri.toString()));
  return [...unsaved, ...found];
}

/** Returns the menu's recipe, or the user's choice from the recipes with a sweep section. */
export async function sweepRecipeFor(argument: unknown): Promise<Uri | undefined> {
  const given = uriOf(argument);
  if (given !== undefined) return given;
  const recipes = await findRecipes();
  const texts = await Promise.all(recipes.map(recipe => textOf(recipe).catch(() => '')));
  const swept = recipes.filter((_, i) => hasSweepSection(texts[i] ?? ''));
  if (swept.length > 0) return pickRecipe('Select a recipe to sweep', swept);
  void window.showInformationMessage('No recipe in this workspace has a sweep section. Add one: type "sweep" in a recipe.');
  return undefined;
}

/** Asks for a recipe. The active editor comes first, then other visible editors, then the rest by path. */
export async function pickRecipe(placeHolder: string, recipes: readonly Uri[]): Promise<Uri | undefined> {
  const inSight = [window.activeTextEditor, ...window.visibleTextEditors].flatMap(editor => editor?.document.uri.toString() ?? []);
  const items = inOrderOfUse(
    recipes.map(uri => ({ label: recipeStem(uri.path), description: workspace.asRelativePath(uri), uri, key: uri.toString() })),
    inSight,
  );
  return (await window.showQuickPick(items, { placeHolder, matchOnDescription: true }))?.uri;
}

async function textOf(uri: Uri): Promise<string> {
  const open = workspace.textDocuments.find(document => document.uri.toString() === uri.toString());
  return open?.getText() ?? new TextDecoder().decode(await workspace.fs.readFile(uri));
}

/**
 * Returns the text of the buffer if the file is open, saved or unsaved.
 * @param daemonFolder the base of relative paths if the daemon is on another machine
 */
export async function recipeSource(uri: Uri, { daemonFolder }: Pick<ClientSettings, 'daemonFolder'>): Promise<RecipeSource> {
  const text = await textOf(uri);
  // A recipe that was never saved belongs to the first folder.
  const folder = uri.scheme === 'file' ? path.dirname(uri.fsPath) : workspace.workspaceFolders?.[0]?.uri.fsPath;
  return { text, fileName: path.basename(uri.path), baseDir: daemonFolder || (folder ?? process.cwd()) };
}
