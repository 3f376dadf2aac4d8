/** The invariants of the tree that no compiler checks: which room may import which, names, sizes, and what must not be written down. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';
import { exportFormats } from '../../trainer/catalog/artifacts.ts';
import { engineNames } from '../../trainer/catalog/engines.ts';
import { measureNames } from '../../trainer/catalog/measures.ts';
import { methodNames } from '../../trainer/catalog/methods.ts';
import { objectiveNames } from '../../trainer/catalog/objectives.ts';
import { castsOf } from '../support/casts.ts';
import { everywhere, rooms } from '../support/rooms.ts';

const root = join(import.meta.dirname, '..', '..');
const git = (...args: string[]): string[] => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).split('\0').filter(Boolean);
/** True in a git checkout. Files are tracked ones and new ones that are not ignored; without git, there is no such list. */
const isCheckout = existsSync(join(root, '.git'));
const files = isCheckout
  ? git('ls-files', '-z', '--cached', '--others', '--exclude-standard').filter(file => existsSync(join(root, file)))
  : [];
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
/** Sources, without tools' own config files, which have the form that the tool requires. */
const sources = files.filter(file => /\.tsx?$/.test(file) && !file.endsWith('.config.ts'));
/** C++ sources, which are compiled when an engine is installed. */
const native = files.filter(file => /^trainer\/.*\.(cc|h)$/.test(file));
const shipped = sources.filter(file => /^(trainer|server|client|media)\//.test(file));

interface Import {
  readonly file: string;
  /** The text of the import, or the path from the root for our own files. */
  readonly target: string;
  readonly ours: boolean;
  readonly isType: boolean;
  /** True for `import(…)`. */
  readonly isLazy: boolean;
}

/** Returns static and dynamic imports and re-exports, including types, because they connect rooms, too. */
function importsOf(file: string): Import[] {
  const pattern = /(?:^|\n)\s*(?:import|export)\s(type\s)?(?:[^'";]*?\sfrom\s)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;
  return [...read(file).matchAll(pattern)].map(([, type, fixed, dynamic]) => {
    const written = fixed ?? dynamic ?? '';
    const ours = written.startsWith('.');
    return {
      file,
      target: ours ? normalize(join(dirname(file), written)) : written,
      ours,
      isType: type !== undefined,
      isLazy: dynamic !== undefined,
    };
  });
}

const imports = shipped.flatMap(importsOf);

/** Returns the files that are loaded with `entry`, including dynamic imports (`import(…)`) except for the lazy modules of a window. */
function reachedFrom(entry: string): ReadonlySet<string> {
  const seen = new Set([entry]);
  for (const file of seen)
    for (const { target, ours, isType } of imports.filter(found => found.file === file))
      if (ours && !isType && target.endsWith('.ts') && (target !== 'client/lazy-modules.ts' || file === entry)) seen.add(target);
  return seen;
}

/** Maximum number of casts; they should be rare. A double cast, `as unknown as`, counts twice. */
const MAX_CASTS = { program: 40, benchmarks: 15, tests: 10 } as const;

const isIn = (room: string, path: string): boolean => path === room || path.startsWith(`${room}/`);
const roomOf = (path: string): string => Object.keys(rooms).find(room => isIn(room, path)) ?? `no room of the table (${path})`;

describe.skipIf(!isCheckout)(`the tree${isCheckout ? '' : ' (skipped: not a git checkout)'}`, () => {
  test('arrows between rooms', () => {
    const wrong = imports.filter(({ file, target, ours }) => {
      if (!ours || target.endsWith('package.json')) return false;
      const from = roomOf(file);
      return ![from, ...everywhere, ...(rooms[from] ?? [])].some(room => isIn(room, target));
    });
    expect(wrong.map(({ file, target }) => `${file} → ${target}`)).toEqual([]);
  });

  test('the table of rooms has no circle', () => {
    const below = (room: string, path: readonly string[] = []): void => {
      if (path.includes(room)) throw new Error([...path, room].join(' → '));
      for (const next of rooms[room] ?? []) below(next, [...path, room]);
    };
    for (const room of Object.keys(rooms)) below(room);
  });

  test('no file imports itself by way of others; imports of types count, those on first use do not', () => {
    const targets = new Map(
      sources.map(file => [file, importsOf(file).flatMap(({ target, ours, isLazy }) => (ours && !isLazy ? [target] : []))]),
    );
    const finished = new Set<string>();
    const cycles: string[] = [];
    const follow = (file: string, path: readonly string[]): void => {
      const start = path.indexOf(file);
      if (start >= 0) cycles.push([...path.slice(start), file].join(' → '));
      if (start >= 0 || finished.has(file)) return;
      for (const target of targets.get(file) ?? []) follow(target, [...path, file]);
      finished.add(file);
    };
    for (const file of sources) follow(file, []);
    expect(finished.size).toBeGreaterThan(1000);
    expect(cycles).toEqual([]);
  });

  test('only client imports vscode', () => {
    expect(imports.filter(({ file, target }) => target === 'vscode' && !file.startsWith('client/'))).toEqual([]);
  });

  test('a window that opens parses no package: what needs one is behind client/lazy-modules.ts', () => {
    const seen = reachedFrom('client/extension.ts');
    const packages = imports.filter(
      ({ file, target, ours, isType }) => seen.has(file) && !ours && !isType && target !== 'vscode' && !target.startsWith('node:'),
    );
    expect(seen.size).toBeGreaterThan(20);
    expect(packages.map(({ file, target }) => `${file} → ${target}`)).toEqual([]);
  });

  /** Untrusted regular expressions may take exponential time, so only a worker, which can be stopped at any moment, may run them. */
  test.each([
    'trainer/rpc/daemon.ts',
    'trainer/reader/reader-process.ts',
    'trainer/cli/main.ts',
    'server/language-server.ts',
    'client/extension.ts',
    'client/lazy-modules.ts',
  ])('%s runs no tokenizer', entry => {
    const running = (seen: ReadonlySet<string>): string[] => [...seen].filter(file => /\.loadTokenizer\(/.test(read(file)));
    expect(running(reachedFrom(entry))).toEqual([]);
    expect(running(reachedFrom('trainer/worker-main.ts')).length).toBeGreaterThan(1);
  });

  test('catalog, protocol and media run without node', () => {
    const isNode = (target: string) => target.startsWith('node:') || builtinModules.includes(target);
    expect(imports.filter(({ file, target }) => /^(trainer\/(protocol|catalog)|media)\//.test(file) && isNode(target))).toEqual([]);
  });

  test('the graph runs anywhere: it imports nothing from outside', () => {
    expect(imports.filter(({ file, ours }) => file.startsWith('trainer/graph/') && !ours)).toEqual([]);
  });

  test('no name of a catalog is compared with outside the room that implements it: code asks for a capability', () => {
    const owners: readonly (readonly [string, readonly string[]])[] = [
      ['trainer/method', methodNames],
      ['trainer/importance', measureNames],
      ['trainer/engine', engineNames],
      ['trainer/train', objectiveNames],
      ['trainer/artifact', exportFormats],
    ];
    // Words with other meanings: parts of a model, a kind of register, the form of a base.
    const ambiguous = new Set(['embedding', 'head', 'full', 'adapter', 'gguf']);
    // Values in other tools' recipes, and recipes of the paper's tables, have their own names.
    const foreign = ['trainer/lint/foreign', 'trainer/cli/paper'];
    const compared = shipped
      .filter(file => !foreign.some(room => isIn(room, file)))
      .flatMap(file =>
        [...read(file).matchAll(/(?:[!=]==|\bcase) '([^']+)'|'([^']+)' [!=]==|\.(?:includes|has)\('([^']+)'\)/g)].flatMap(
          ([text, a, b, c]) => {
            const name = a ?? b ?? c ?? '';
            const owner = owners.find(([, names]) => names.includes(name))?.[0];
            return owner === undefined || ambiguous.has(name) || isIn(owner, file) ? [] : [`${file}: ${text}`];
          },
        ),
      );
    expect(compared).toEqual([]);
  });

  test('TensorFlow and tfjs are known to the engine alone', () => {
    expect(imports.filter(({ file, target }) => target.startsWith('@tensorflow/') && !file.startsWith('trainer/engine/'))).toEqual([]);
  });

  /**
   * A cast is an unchecked statement. Instead, read required values with `trainer/narrow.ts`, validate at the boundary, write a type guard
   * that checks, or type the source. Tests read JSON with its form (`test/support/files/read-json.ts`).
   */
  test.each([
    ['program', shipped],
    ['benchmarks', sources.filter(file => file.startsWith('bench/'))],
    ['tests', sources.filter(file => /^(test|scripts)\//.test(file))],
  ] as const)('a cast is rare, and says why it is true: %s', (room, from) => {
    const found = from.flatMap(file => castsOf(read(file)).map(cast => ({ file, ...cast })));
    const bare = found.filter(({ hasReason }) => !hasReason).map(({ file, line, cast }) => `${file}:${line}: ${cast}`);
    expect(bare, 'write a check in its place, or the reason on its line or the line above').toEqual([]);
    expect(found.length, 'write a check in place of the new casts').toBeLessThanOrEqual(MAX_CASTS[room]);
  });

  test('other uses of the word are no casts', () => {
    const code = `import { a as b } from './c.ts';
export { d as e } from './f.ts';
// as a comment
const text = 'read as text';
const pattern = /read as text/;
const shown = \`as text \${'as text'} \${(list as Shown).map(({ a }) => a)} as text\`;
const list = [1] as const;
const first = list[0] as number;
const size = load(x) as unknown as Size;
// The file was made for it.
const width = load(x) as Width;
const height = load(x) as Height; // as its width

const depth = load(x) as Depth;`;
    expect(castsOf(code)).toEqual([
      { cast: 'as Shown', line: 6, hasReason: false },
      { cast: 'as unknown', line: 9, hasReason: false },
      { cast: 'as Size', line: 9, hasReason: false },
      { cast: 'as Width', line: 11, hasReason: true },
      { cast: 'as Height', line: 12, hasReason: true },
      { cast: 'as Depth', line: 14, hasReason: false },
    ]);
  });

  test('no default exports', () => {
    expect(sources.filter(file => /^export default /m.test(read(file)))).toEqual([]);
  });

  test('private members are marked by the keyword, not by a hash', () => {
    expect(sources.filter(file => /^\s+(static |readonly |async |get |set )*#[a-z]\w*[^\w]/m.test(read(file)))).toEqual([]);
  });

  test('file names are kebab-case', () => {
    const kebab = /^[a-z0-9]+(-[a-z0-9]+)*(\.((long|fixtures)\.test|test|d))?\.tsx?$/;
    expect(sources.filter(file => !kebab.test(file.slice(file.lastIndexOf('/') + 1)))).toEqual([]);
  });

  test('no folder has more than 25 files on one level, but for lists that have a file an entry', () => {
    // One file per command or decoder family; tests next to the numbers that they read.
    const lists = new Set(['trainer/cli/commands', 'trainer/model/family/decoder/families', 'test/golden']);
    const counts = new Map<string, number>();
    for (const file of [...sources, ...native]) {
      const folder = file.slice(0, file.lastIndexOf('/'));
      counts.set(folder, (counts.get(folder) ?? 0) + 1);
    }
    expect([...counts].filter(([folder, count]) => count > 25 && !lists.has(folder))).toEqual([]);
  });

  test('no file is longer than 400 lines', () => {
    expect([...sources, ...native].filter(file => read(file).split('\n').length > 401)).toEqual([]);
  });

  test('every file begins by saying what it is for', () => {
    expect(shipped.filter(file => !/^(#![^\n]*\n)?\/\*\*/.test(read(file)))).toEqual([]);
  });

  test('nothing names a machine or a registry', () => {
    // Split, so that this file does not name them itself. The home of a fictional user, ada, is allowed in tests of paths.
    const words = ['/ro|ot/', '/ho|me/(?!ada\\b)', '/Us|ers/(?!ada\\b)', '/wo|rk/', 'registry\\.np|mjs', 'py|pi\\.org', '/tm|p/w/'];
    const pattern = new RegExp(words.map(word => word.replace('|', '')).join('|'));
    const text = files.filter(file => /\.(tsx?|mjs|js|py|json|md|ya?ml|txt|sh|npmrc)$/.test(file) && !file.includes('golden.json'));
    const named = text.flatMap(file =>
      read(file)
        .split('\n')
        .flatMap((line, i) => (pattern.test(line) ? [`${file}:${i + 1}: ${line.trim().slice(0, 120)}`] : [])),
    );
    expect(named).toEqual([]);
  });

  test('package-lock.json tells no address', () => {
    expect(read('package-lock.json')).not.toContain('"resolved"');
  });
});
