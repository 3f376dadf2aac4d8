/** package.json against the code: commands, menus, icons, settings, pages; what one names the other has. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DEFAULTS } from '../../../client/client-settings.ts';
import { COMMANDS } from '../../../client/commands/command-ids.ts';
import { colorMapNames } from '../../../media/shared/color-maps.ts';
import { cardCatalog, cardNames } from '../../../trainer/catalog/cards.ts';
import { settings } from '../../../trainer/protocol/recipe-schema.ts';

const root = join(import.meta.dirname, '..', '..', '..');

interface MenuEntry {
  readonly command: string;
  readonly when?: string;
  readonly group?: string;
}

interface Property {
  readonly type: string;
  readonly default: unknown;
  readonly markdownDescription: string;
  readonly enum?: readonly string[];
  readonly enumDescriptions?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly scope?: string;
}

interface Manifest {
  readonly main: string;
  readonly icon: string;
  readonly activationEvents: readonly string[];
  readonly extensionKind: readonly string[];
  readonly capabilities: {
    readonly untrustedWorkspaces: { readonly supported: string; readonly restrictedConfigurations: readonly string[] };
  };
  readonly contributes: {
    readonly commands: readonly {
      readonly command: string;
      readonly title: string;
      readonly category: string;
      readonly icon?: string;
      readonly enablement?: string;
    }[];
    readonly menus: Readonly<Record<string, readonly MenuEntry[]>>;
    readonly viewsContainers: { readonly activitybar: readonly { readonly id: string; readonly icon: string }[] };
    readonly views: Readonly<Record<string, readonly { readonly id: string; readonly icon: string }[]>>;
    readonly viewsWelcome: readonly { readonly view: string; readonly contents: string }[];
    readonly configuration: { readonly properties: Readonly<Record<string, Property>> };
    readonly walkthroughs: readonly {
      readonly id: string;
      readonly steps: readonly {
        readonly id: string;
        readonly description: string;
        readonly media: Readonly<Record<string, string>>;
        readonly completionEvents: readonly string[];
      }[];
    }[];
  };
}

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
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

  test('in menus exist, and have an icon where they stand as one', () => {
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

describe('files', () => {
  test('that the manifest names are there', () => {
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

  test('are described, and every word of a list is', () => {
    for (const [name, { markdownDescription, enum: words, enumDescriptions }] of Object.entries(properties)) {
      expect(markdownDescription, name).toMatch(/^[A-Z].*\.$/);
      if (words) expect(enumDescriptions?.length, name).toBe(words.length);
    }
  });

  test('the engines are those of the recipe schema, in its words', () => {
    const { choices = {} } = settings.engine?.type ?? {};
    const { enum: words, enumDescriptions } = properties['rowtune.engine'] ?? {};
    expect(words).toEqual(['default', ...Object.keys(choices)]);
    expect(enumDescriptions?.slice(1)).toEqual(Object.values(choices));
  });

  test('the cards are those of the catalog', () => {
    const { enum: words, enumDescriptions } = properties['rowtune.card'] ?? {};
    expect(words).toEqual(['', ...cardNames]);
    expect(enumDescriptions?.slice(1)).toEqual(cardNames.map(name => `${cardCatalog[name].label}.`));
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
