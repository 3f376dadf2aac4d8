/** Tests that package.json and the code name the same commands, menus, icons, settings and pages. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { DEFAULTS } from '../../../client/client-settings.ts';
import { COMMANDS } from '../../../client/commands/command-ids.ts';
import { colorMapNames } from '../../../media/shared/color-maps.ts';
import { cardCatalog, cardNames } from '../../../trainer/catalog/cards.ts';
import { settings } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { readJson } from '../../support/files/read-json.ts';

const root = join(import.meta.dirname, '..', '..', '..');
/** Width of a code block of the walkthrough in a window of 1600 pixels. */
const CODE_COLUMNS = 44;

const menuEntry = z.object({ command: z.string(), when: z.string().optional(), group: z.string().optional() });

const property = z.object({
  type: z.string(),
  default: z.unknown(),
  markdownDescription: z.string(),
  enum: z.array(z.string()).optional(),
  enumDescriptions: z.array(z.string()).optional(),
  enumItemLabels: z.array(z.string()).optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  scope: z.string().optional(),
});

const command = z.object({
  command: z.string(),
  title: z.string(),
  category: z.string(),
  icon: z.string().optional(),
  enablement: z.string().optional(),
});

const step = z.object({
  id: z.string(),
  description: z.string(),
  media: z.record(z.string(), z.string()),
  completionEvents: z.array(z.string()),
});

const manifest = readJson(
  join(root, 'package.json'),
  z.object({
    main: z.string(),
    icon: z.string(),
    activationEvents: z.array(z.string()),
    extensionKind: z.array(z.string()),
    capabilities: z.object({
      untrustedWorkspaces: z.object({ supported: z.string(), restrictedConfigurations: z.array(z.string()) }),
    }),
    contributes: z.object({
      commands: z.array(command),
      menus: z.record(z.string(), z.array(menuEntry)),
      viewsContainers: z.object({ activitybar: z.array(z.object({ id: z.string(), icon: z.string() })) }),
      views: z.record(z.string(), z.array(z.object({ id: z.string(), icon: z.string() }))),
      viewsWelcome: z.array(z.object({ view: z.string(), contents: z.string(), when: z.string() })),
      configuration: z.object({ properties: z.record(z.string(), property) }),
      walkthroughs: z.array(z.object({ id: z.string(), steps: z.array(step) })),
    }),
  }),
);
const { commands, menus, configuration, views, viewsWelcome, viewsContainers, walkthroughs } = manifest.contributes;
const menuEntries = Object.entries(menus).flatMap(([menu, entries]) => entries.map(entry => ({ menu, ...entry })));
const sources = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter(entry => entry.name.endsWith('.ts'))
    .map(entry => readFileSync(join(entry.parentPath, entry.name), 'utf8'));
const clientText = sources('client').join('\n');

describe('commands', () => {
  test('are those of the code, each once, with a title and the category', () => {
    expect(commands.map(({ command }) => command).sort()).toEqual(Object.values(COMMANDS).sort());
    for (const { title, category } of commands) expect([category, title]).toEqual(['Rowtune', expect.stringMatching(/^[A-Z]/)]);
    expect(new Set(commands.map(({ title }) => title)).size).toBe(commands.length);
  });

  test('in menus exist, and those shown as buttons have an icon', () => {
    const known = new Map(commands.map(each => [each.command, each]));
    for (const { menu, command, group = '' } of menuEntries) {
      expect(known.has(command), `${command} in ${menu}`).toBe(true);
      const isButton = group.startsWith('inline') || (menu.endsWith('/title') && group.startsWith('navigation'));
      if (isButton) expect(known.get(command)?.icon, command).toMatch(/^\$\([\w-]+\)$/);
    }
  });

  test('that are named in links, walkthroughs and welcomes exist', () => {
    const texts = [
      ...viewsWelcome.map(({ contents }) => contents),
      ...walkthroughs.flatMap(({ steps }) => steps.flatMap(({ description, completionEvents }) => [description, ...completionEvents])),
    ];
    const named = texts.flatMap(text => [...text.matchAll(/(?:command:|onCommand:)(rowtune\.[\w.]+)/g)].map(match => match[1]));
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter(name => !commands.some(({ command }) => command === name))).toEqual([]);
  });
});

describe('when clauses', () => {
  const clauses = [...menuEntries.map(({ when }) => when), ...commands.map(({ enablement }) => enablement)].filter(
    text => text !== undefined,
  );

  test('ask for keys that the code sets', () => {
    const keys = clauses.flatMap(clause => [...clause.matchAll(/(?<![=\w] )\b(rowtune\.\w+)\b/g)].map(match => match[1] ?? ''));
    const viewIds = Object.values(views).flatMap(group => group.map(({ id }) => id));
    const unknown = [...new Set(keys)].filter(key => !viewIds.includes(key) && !clientText.includes(`setContext('${key}'`));
    expect(unknown).toEqual([]);
  });

  test('about items of the view name flags of a run', () => {
    const flags = clauses
      .filter(clause => clause.includes('view == rowtune.runs'))
      .flatMap(clause => [...clause.matchAll(/\\b(\w+)\\b/g)].map(match => match[1]));
    const known = /export type RunFlag =\s([^;]*);/.exec(clientText)?.[1] ?? '';
    expect(flags.length).toBeGreaterThan(5);
    expect(flags.filter(flag => !known.includes(`'${flag}'`))).toEqual([]);
  });
});

test('a window without a folder offers to open one, and says nothing about its runs', () => {
  const shown = viewsWelcome.filter(({ view, when }) => view === 'rowtune.runs' && !when.includes('workspaceFolderCount != 0'));
  expect(shown.map(({ contents }) => /\((command:\w+\.\w+)/.exec(contents)?.[1])).toEqual([
    'command:vscode.openFolder',
    'command:workbench.trust',
  ]);
});

test('the walkthrough has no line of code that its narrow column cuts off', () => {
  const pages = walkthroughs.flatMap(({ steps }) => steps.flatMap(({ media }) => media.markdown ?? []));
  const blocks = pages.flatMap(page => [...readFileSync(join(root, page), 'utf8').matchAll(/^```\w+\n([^`]*)/gm)].map(match => match[1]));
  expect(blocks.length).toBeGreaterThan(1);
  expect(blocks.flatMap(block => block?.split('\n').filter(line => line.length > CODE_COLUMNS))).toEqual([]);
});

describe('files', () => {
  test('named in the manifest exist', () => {
    const named = [
      manifest.icon,
      ...viewsContainers.activitybar.map(({ icon }) => icon),
      ...Object.values(views).flatMap(group => group.map(({ icon }) => icon)),
      ...walkthroughs.flatMap(({ steps }) => steps.map(({ media }) => media.markdown ?? media.image ?? '')),
    ];
    expect(named.filter(file => !existsSync(join(root, file)))).toEqual([]);
  });

  test('of the pages are there: entry, icon, and the event that restores them', () => {
    const pages = [...clientText.matchAll(/kind: '(\w+)',\s+title: '[^']+',\s+icon: '([\w.]+)'/g)];
    expect(pages.map(([, kind]) => kind).sort()).toEqual(['compare', 'data', 'heatmap', 'run', 'try']);
    for (const [, kind = '', icon = ''] of pages) {
      expect(existsSync(join(root, 'media', icon)), icon).toBe(true);
      expect(existsSync(join(root, 'media', `${kind}.ts`)), kind).toBe(true);
      expect(manifest.activationEvents).toContain(`onWebviewPanel:rowtune.${kind}`);
    }
  });

  test('the activity bar takes the color of the theme', () => {
    const icon = readFileSync(join(root, 'media', 'icon.svg'), 'utf8');
    expect(icon).toContain('currentColor');
    expect(icon).not.toMatch(/(?:fill|stroke)="#/);
  });
});

describe('settings', () => {
  const { properties } = configuration;

  test('are those that the code reads, with the same defaults', () => {
    const described = Object.fromEntries(
      Object.entries(properties).map(([name, { default: value }]) => [name.replace('rowtune.', ''), value]),
    );
    expect(described).toEqual(DEFAULTS);
  });

  test('are described, and every word of a list is described or has a label', () => {
    for (const [name, { markdownDescription, enum: words, enumDescriptions, enumItemLabels }] of Object.entries(properties)) {
      expect(markdownDescription, name).toMatch(/^[A-Z].*\.$/);
      if (words) expect((enumDescriptions ?? enumItemLabels)?.length, name).toBe(words.length);
    }
  });

  test('the engines are those of the recipe schema, in its words', () => {
    const { choices = {} } = settings.engine?.type ?? {};
    const { enum: words, enumDescriptions } = properties['rowtune.engine'] ?? {};
    expect(words).toEqual(['default', ...Object.keys(choices)]);
    expect(enumDescriptions?.slice(1)).toEqual(Object.values(choices));
  });

  test('the cards are those of the catalog', () => {
    const { enum: words, enumItemLabels } = properties['rowtune.card'] ?? {};
    expect(words).toEqual(['', ...cardNames]);
    // Without a label, the list of settings shows an empty value as an empty box.
    expect(enumItemLabels).toEqual(['This machine', ...cardNames.map(name => cardCatalog[name].label)]);
  });

  test('the colors are those that the heatmap has', () => {
    expect(properties['rowtune.heatmap.colorMap']?.enum).toEqual(colorMapNames);
  });

  test('that start programs cannot come from a folder that is not trusted', () => {
    const { supported, restrictedConfigurations } = manifest.capabilities.untrustedWorkspaces;
    expect(supported).toBe('limited');
    const machine = Object.entries(properties).flatMap(([name, { scope }]) => (scope === 'machine-overridable' ? [name] : []));
    expect(restrictedConfigurations.toSorted()).toEqual(machine.sort());
  });
});
