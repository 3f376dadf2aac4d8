/**
 * `npm run registries`: writes the tables of entries that have their own folder, so that a new folder needs no manual listing. A folder is
 * named after its entry in the catalog. With --check, it writes nothing and fails if a table is out of date.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { root as checkout, say } from './steps.mjs';

/** The tables: every folder of `room` with a file `part` exports `<kind>` from it. */
const TABLES = [
  {
    room: 'trainer/method',
    part: 'method.ts',
    kind: 'method',
    table: 'methods',
    type: 'Method',
    typeFrom: './method.ts',
    name: 'MethodName',
    nameFrom: '../catalog/methods.ts',
    purpose: 'The folder of each method of the catalog.',
  },
  {
    room: 'trainer/objective',
    part: 'task.ts',
    kind: 'task',
    table: 'tasks',
    type: 'TaskOf',
    typeFrom: './task-setup.ts',
    name: 'ObjectiveName',
    nameFrom: '../catalog/objectives.ts',
    purpose: 'The loss and the evaluation of each objective of the catalog; no data is read by them.',
  },
  {
    room: 'trainer/objective',
    part: 'set-up.ts',
    kind: 'setUp',
    table: 'set-ups',
    type: 'SetUpTask',
    typeFrom: './task-setup.ts',
    name: 'ObjectiveName',
    nameFrom: '../catalog/objectives.ts',
    purpose: 'How each objective of the catalog reads its data.',
  },
  {
    room: 'trainer/objective',
    part: 'preview.ts',
    kind: 'preview',
    table: 'previews',
    type: 'PreviewData',
    typeFrom: './data-preview.ts',
    name: 'ObjectiveName',
    nameFrom: '../catalog/objectives.ts',
    purpose: 'How each objective of the catalog shows its data.',
  },
  {
    room: 'trainer/artifact',
    part: 'artifact.ts',
    kind: 'artifact',
    table: 'artifacts',
    type: 'Artifact',
    typeFrom: './artifact.ts',
    name: 'ExportFormat',
    nameFrom: '../catalog/artifacts.ts',
    purpose: 'How each export format of the catalog is written and verified.',
  },
];

/** Converts a name to an identifier: spsft+lora → spsftLora. */
const identifierOf = name => name.replace(/[^a-z0-9]+([a-z0-9])/g, (_, letter) => letter.toUpperCase());

/** Sorts by folder, parent folders first. */
function byPath(a, b) {
  const [left, right] = [a, b].map(({ from }) => from.replace(/^\.\.\//, ' /').split('/'));
  const at = left.findIndex((part, i) => part !== right[i]);
  return left[at] < (right[at] ?? '') ? -1 : 1;
}

/** @returns {{ file: string, text: string }[]} the tables of a checkout, with their paths in it */
export function registriesOf(root) {
  return TABLES.map(({ room, part, kind, table, type, typeFrom, name, nameFrom, purpose }) => {
    const folders = readdirSync(path.join(root, room), { withFileTypes: true })
      .filter(entry => entry.isDirectory() && existsSync(path.join(root, room, entry.name, part)))
      .map(entry => entry.name)
      .sort();
    const own = folders.map(folder => ({
      from: `./${folder}/${part}`,
      line: `import { ${kind} as ${identifierOf(folder)} } from './${folder}/${part}';`,
    }));
    const shared = [
      { from: nameFrom, line: `import type { ${name} } from '${nameFrom}';` },
      { from: typeFrom, line: `import type { ${type} } from '${typeFrom}';` },
    ];
    const imports = [...shared, ...own].sort(byPath).map(({ line }) => line);
    const entries = folders.map(folder => {
      const identifier = identifierOf(folder);
      const key = /^\w+$/.test(folder) ? folder : `'${folder}'`;
      return `  ${identifier === folder ? folder : `${key}: ${identifier}`},`;
    });
    const text = [
      `/** ${purpose} Written by \`npm run registries\` from the folders of this room. */`,
      '',
      ...imports,
      '',
      `export const ${identifierOf(table)}: Readonly<Record<${name}, ${type}>> = {`,
      ...entries,
      '};',
      '',
    ].join('\n');
    return { file: `${room}/${table}.ts`, text };
  });
}

/** The tables that do not match their folders. */
export const outdatedRegistries = root =>
  registriesOf(root).filter(({ file, text }) => !existsSync(path.join(root, file)) || readFileSync(path.join(root, file), 'utf8') !== text);

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const outdated = outdatedRegistries(checkout);
  if (process.argv.includes('--check')) {
    for (const { file } of outdated) say(`${file} is out of date. Run: npm run registries`);
    process.exitCode = outdated.length > 0 ? 1 : 0;
  } else
    for (const { file, text } of outdated) {
      writeFileSync(path.join(checkout, file), text);
      say(`wrote ${file}`);
    }
}
