/** Tests that the generated pages of docs/reference are up to date. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { referencePages } from '../../../scripts/reference/pages.ts';
import { measureNames } from '../../../trainer/catalog/measures.ts';
import { methodNames } from '../../../trainer/catalog/methods.ts';
import { architectures } from '../../../trainer/model/architectures.ts';
import { settings } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { TOLERANCES } from '../../../trainer/verify/verify-model.ts';
import { readJson } from '../../support/files/read-json.ts';

const root = path.join(import.meta.dirname, '..', '..', '..');
const pages = await referencePages(root);
const pageOf = (name: string): string => pages[`docs/reference/${name}.md`] ?? '';

test.each(Object.keys(pages))('%s is up to date (npm run reference)', file => {
  expect(readFileSync(path.join(root, file), 'utf8')).toBe(pages[file]);
});

describe('nothing is left out', () => {
  test('settings', () => {
    const headings = [...pageOf('settings').matchAll(/^### (.+)$/gm)].map(([, name]) => name);
    expect(headings.sort()).toEqual(Object.keys(settings).sort());
  });

  test('commands', () => {
    const headings = [...pageOf('commands').matchAll(/^##+ (.+)$/gm)].map(([, name]) => name);
    const files = readdirSync(path.join(root, 'trainer', 'cli', 'commands')).map(file => `rowtune ${path.basename(file, '.ts')}`);
    expect(headings).toEqual(expect.arrayContaining([...files, 'rowtune daemon start', 'rowtune engine install']));
  });

  test('options that commands share', () => {
    const [, shared = ''] = /^Every command takes(.+?)\n\n/ms.exec(pageOf('commands')) ?? [];
    expect(shared).toContain('`--json` (print only one JSON object to stdout); `--verbose`');
    expect(pageOf('commands')).not.toContain('- `--json`');
  });

  test('methods, measures and architectures', () => {
    for (const name of methodNames) expect(pageOf('methods')).toContain(`\`${name}\``);
    for (const name of measureNames) expect(pageOf('measures')).toContain(`\`${name}\``);
    for (const name of Object.keys(architectures)) expect(pageOf('models')).toContain(`\`${name}\``);
  });
});

describe('test/golden/errors.json', () => {
  const golden = path.join(root, 'test', 'golden');
  const byQuantity = z.record(z.string(), z.number());
  const { folders } = readJson(
    path.join(golden, 'errors.json'),
    z.object({ folders: z.record(z.string(), z.record(z.string(), byQuantity)) }),
  );

  test('has errors that were measured and are within the limits', () => {
    for (const [folder, engines] of Object.entries(folders)) {
      expect(Object.keys(engines), folder).toEqual(['tensorflow', 'portable']);
      for (const errors of Object.values(engines))
        for (const [quantity, limit] of Object.entries(TOLERANCES)) {
          expect(errors[quantity], `${folder}: ${quantity}`).toBeLessThanOrEqual(limit);
          expect(errors[quantity], `${folder}: ${quantity}`).toBeGreaterThanOrEqual(0);
        }
    }
  });
});
