/** All generated pages of docs/reference, by path from the root. The test and `npm run reference` read this table. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { enginesPage, exportsPage, measuresPage, methodsPage, tasksPage } from './catalog-pages.ts';
import { commandsPage } from './commands-page.ts';
import { diagnosticsPage } from './diagnostics-page.ts';
import { goldenErrors, modelsPage } from './models-page.ts';
import { settingsPage } from './settings-page.ts';

/** @param root the folder of the repository */
export async function referencePages(root: string): Promise<Readonly<Record<string, string>>> {
  const golden = path.join(root, 'test', 'golden');
  const errors = goldenErrors.parse(JSON.parse(readFileSync(path.join(golden, 'errors.json'), 'utf8')));
  const fixtures = ['protocol/recipe-fixtures.txt', 'lint/recipe-facts.txt', 'lint/model-configs.txt'].map(file =>
    readFileSync(path.join(root, 'test', 'unit', file), 'utf8'),
  );
  return {
    'docs/reference/settings.md': settingsPage(),
    'docs/reference/commands.md': await commandsPage(),
    'docs/reference/diagnostics.md': diagnosticsPage(fixtures),
    'docs/reference/methods.md': methodsPage(),
    'docs/reference/measures.md': measuresPage(),
    'docs/reference/tasks.md': tasksPage(),
    'docs/reference/engines.md': enginesPage(),
    'docs/reference/export-formats.md': exportsPage(),
    'docs/reference/models.md': modelsPage(errors, golden),
  };
}
