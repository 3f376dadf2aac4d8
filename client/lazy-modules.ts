/**
 * Modules that are loaded on first use. scripts/build.mjs bundles each of them separately, so that opening a window does not parse them.
 * Import this file only with `await import('./lazy-modules.ts')`, and its modules in no other way.
 */
export const languageClient = () => import('vscode-languageclient/node');
export const connect = () => import('../trainer/rpc/connection/connect.ts');
export const discovery = () => import('../trainer/rpc/connection/discovery.ts');
export const parseRecipe = () => import('../trainer/protocol/recipe/parse-recipe.ts');
export const quickFixes = () => import('../trainer/lint/quick-fixes.ts');
export const recipeText = () => import('../trainer/protocol/recipe/recipe-text.ts');
export const runSource = () => import('./pages/run-source.ts');
export const runHost = () => import('./pages/run-host.ts');
export const compareHost = () => import('./pages/compare-host.ts');
export const heatmapHost = () => import('./pages/heatmap-host.ts');
export const tryHost = () => import('./pages/try-host.ts');
export const dataHost = () => import('./pages/data-host.ts');
