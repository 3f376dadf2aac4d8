/**
 * Checks the package as published against the requirements of the Visual Studio Marketplace (those of `vsce` and its documentation) and of
 * Open VSX (its checks of an upload).
 */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { makePackage } from '../../scripts/package.mjs';
import { EDITORS } from '../../scripts/vscode/editors.mjs';
import { recipeJsonSchema } from '../../trainer/protocol/recipe/recipe-schema.ts';
import { zipEntries } from '../support/files/zip-entries.ts';

/** Maximum lengths of texts in Open VSX. */
const [MAX_FIELD, MAX_DESCRIPTION] = [255, 2048];
/** Maximum number of keywords in the Marketplace. */
const MAX_KEYWORDS = 30;
const MIN_ICON = 128;
/** Categories that both registries list. */
const CATEGORIES = [
  ...['AI', 'Azure', 'Chat', 'Data Science', 'Debuggers', 'Education', 'Extension Packs', 'Formatters', 'Keymaps', 'Language Packs'],
  ...['Linters', 'Machine Learning', 'Notebooks', 'Other', 'Programming Languages', 'SCM Providers', 'Snippets', 'Testing', 'Themes'],
  'Visualization',
];

const field = z.string().min(1).max(MAX_FIELD);
const manifestSchema = z.looseObject({
  name: field.regex(/^[a-z0-9][a-z0-9-]*$/),
  publisher: field.regex(/^[a-z0-9][a-z0-9-]*$/),
  // The Marketplace accepts no suffix such as -beta.
  version: field.regex(/^\d+\.\d+\.\d+$/),
  displayName: field,
  description: z.string().min(1).max(MAX_DESCRIPTION),
  license: field,
  icon: field,
  engines: z.looseObject({ vscode: field.regex(/^\^\d+\.\d+\.\d+$/) }),
  categories: z.array(z.enum(CATEGORIES)).min(1),
  keywords: z.array(field).max(MAX_KEYWORDS),
  galleryBanner: z.object({ color: z.string().regex(/^#[0-9a-f]{6}$/), theme: z.enum(['dark', 'light']) }),
  activationEvents: z.array(z.string()),
  // Addresses are optional, but must be valid.
  repository: z.object({ url: z.url() }).optional(),
  bugs: z.object({ url: z.url() }).optional(),
  homepage: z.url().optional(),
});

const entries = await zipEntries(readFileSync(await makePackage()));
const textOf = (name: string): string => entries.get(name)?.toString('utf8') ?? '';
const manifest = manifestSchema.parse(JSON.parse(textOf('extension/package.json')));

test('the manifest holds what both registries check, and nothing that one of them refuses', () => {
  expect(manifest.engines.vscode).toBe(`^${EDITORS.oldest.vscode}.0`);
  expect(manifest.activationEvents).not.toContain('*');
  // Proposed interfaces are refused, as are scripts that would run during installation.
  for (const key of ['enabledApiProposals', 'scripts', 'dependencies', 'private']) expect(manifest).not.toHaveProperty(key);
});

test('the icon is a square picture of at least 128 pixels, and no drawing', () => {
  const icon = entries.get(`extension/${manifest.icon}`);
  expect(icon?.subarray(1, 4).toString('latin1')).toBe('PNG');
  const [width, height] = [icon?.readUInt32BE(16), icon?.readUInt32BE(20)];
  expect(width).toBeGreaterThanOrEqual(MIN_ICON);
  expect(height).toBe(width);
});

test('the JSON Schema of recipes is in it', () => {
  expect(JSON.parse(textOf('extension/recipe.schema.json'))).toEqual(JSON.parse(JSON.stringify(recipeJsonSchema())));
});

test('the license is there as a file', () => {
  expect(textOf('extension/LICENSE.txt')).toContain('Apache License');
});

test.each(['readme.md', 'changelog.md'])('pictures and links of %s lead to https, or to a place in it', name => {
  const text = textOf(`extension/${name}`);
  expect(text.length).toBeGreaterThan(500);
  const links = [...text.matchAll(/\]\(([^)\s]+)/g), ...text.matchAll(/<(?:img|a)\s[^>]*(?:src|href)="([^"]*)"/g)].map(
    ([, target = '']) => target,
  );
  expect(links.filter(target => !/^(?:https:\/\/|#)/.test(target))).toEqual([]);
  const pictures = [...text.matchAll(/!\[[^\]]*\]\(([^)\s]+)/g)].map(([, target = '']) => target);
  expect(pictures.filter(target => /\.svg(?:\?|$)/.test(target))).toEqual([]);
});

test('the description of the package names its parts, and says that it is free', () => {
  const xml = textOf('extension.vsixmanifest');
  const { publisher, name, version, engines } = manifest;
  for (const [attribute, value] of Object.entries({ Id: name, Version: version, Publisher: publisher }))
    expect(/<Identity [^>]*>/.exec(xml)?.[0]).toContain(`${attribute}="${value}"`);
  const properties = new Map([...xml.matchAll(/<Property Id="([^"]+)" Value="([^"]*)"/g)].map(([, id = '', value = '']) => [id, value]));
  expect(properties.get('Microsoft.VisualStudio.Code.Engine')).toBe(engines.vscode);
  expect(properties.get('Microsoft.VisualStudio.Code.ExtensionKind')).toBe('workspace');
  expect(properties.get('Microsoft.VisualStudio.Services.Content.Pricing')).toBe('Free');
  const assets = new Map([...xml.matchAll(/<Asset Type="([^"]+)" Path="([^"]+)"/g)].map(([, type = '', path = '']) => [type, path]));
  const parts = [
    'Code.Manifest',
    'Services.Content.Details',
    'Services.Content.Changelog',
    'Services.Content.License',
    'Services.Icons.Default',
  ];
  for (const part of parts) expect([part, entries.has(assets.get(`Microsoft.VisualStudio.${part}`) ?? '')]).toEqual([part, true]);
});
