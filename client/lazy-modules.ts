/**
 * What is loaded when it is first needed. It is bundled apart (scripts/build.mjs), so that a window that only opens does not even parse it;
 * import it with `await import('./lazy-modules.ts')`, and nothing that it names in any other way.
 */
export const languageClient = () => import('vscode-languageclient/node');
export const connect = () => import('../trainer/rpc/connect.ts');
export const discovery = () => import('../trainer/rpc/discovery.ts');
export const parseRecipe = () => import('../trainer/protocol/parse-recipe.ts');
export const recipeText = () => import('./recipe/recipe-text.ts');
export const runSource = () => import('./pages/run-source.ts');
export const runHost = () => import('./pages/run-host.ts');
export const compareHost = () => import('./pages/compare-host.ts');
export const heatmapHost = () => import('./pages/heatmap-host.ts');
export const tryHost = () => import('./pages/try-host.ts');
