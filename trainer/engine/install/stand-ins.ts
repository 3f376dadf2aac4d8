/**
 * Stand-ins for the libraries that a plugin is linked with and does not need in order to compile. AMD's plugin imports functions of ROCm,
 * a download of several gigabytes that is not on PyPI; it calls almost none of them before it opens a device. Each stand-in has the name of
 * a library, and a function that fails for every name that the plugin imports.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { EngineError } from '../engine.ts';
import { type InstalledPjrt, pjrtLibrary } from './pjrt-folder.ts';
import { runCommand } from './run-command.ts';

/** Libraries of the system, which are there. */
const OF_SYSTEM = /^(?:lib(?:c|m|dl|rt|pthread|stdc\+\+|gcc_s)\.so|ld-linux)/;
/** Versions of the names that they have. */
const VERSION_OF_SYSTEM = /^(?:GLIBC|GLIBCXX|CXXABI|GCC)_/;
/** Names of the C++ standard library, which may be linked without a version. */
const OF_STANDARD_LIBRARY = /^_ZNK?St/;

/** Imports of a library from others than those of the system. */
export interface Imports {
  /** File names of libraries. */
  readonly libraries: readonly string[];
  readonly functions: readonly { readonly name: string; readonly version?: string }[];
}

/** Reads the output of `readelf -d` and of `nm -D --undefined-only`. */
export function importsIn(dynamic: string, undefinedNames: string): Imports {
  const libraries = [...dynamic.matchAll(/\(NEEDED\)[^[]*\[([^\]]+)\]/g)].flatMap(([, name = '']) => (OF_SYSTEM.test(name) ? [] : [name]));
  const functions = [...undefinedNames.matchAll(/^\s*U ([^\s@]+)(?:@+(\S+))?$/gm)].flatMap(([, name = '', version]) =>
    VERSION_OF_SYSTEM.test(version ?? '') || OF_STANDARD_LIBRARY.test(name) ? [] : [{ name, ...(version !== undefined && { version }) }],
  );
  return { libraries, functions };
}

/** Status that a stand-in returns: for all of ROCm's functions, any number but 0 is an error. */
const FAILED = 1;

/** The C source of all functions. */
const sourceOf = ({ functions }: Imports): string =>
  functions.map(({ name }, i) => `long f${i}(void) __asm__("${name}");\nlong f${i}(void) { return ${FAILED}; }\n`).join('');

/** The linker's script that gives the names their versions. */
function versionsOf({ functions }: Imports): string {
  const versions = new Set(functions.flatMap(({ version }) => version ?? []));
  const namesOf = (version: string): string => functions.flatMap(each => (each.version === version ? `"${each.name}";` : [])).join(' ');
  return [...versions].map(version => `${version} { global: ${namesOf(version)} };\n`).join('');
}

/**
 * Returns the folder next to the plugin in which it looks for its libraries: `$ORIGIN/../rocm/lib` is in its search path. Only stand-ins are
 * in this folder; a plugin that computes finds those of an installed ROCm.
 */
const standInFolder = (installed: InstalledPjrt): string => path.join(path.dirname(pjrtLibrary(installed)), '..', 'rocm', 'lib');

/** Builds the stand-ins for a plugin. @throws EngineError with the output of the program that failed */
export async function buildStandIns(installed: InstalledPjrt, onTick: (elapsedSeconds: number) => void): Promise<void> {
  const library = pjrtLibrary(installed);
  const lines = async (program: string, ...args: string[]): Promise<string> => {
    const found: string[] = [];
    const { status, output } = await runCommand(program, args, { onTick, onLine: line => found.push(line) });
    if (status !== 0) throw new EngineError(`${program}, which comes with g++, failed:\n${output.trim()}`);
    return found.join('\n');
  };
  const imports = importsIn(await lines('readelf', '-d', '-W', library), await lines('nm', '-D', '--undefined-only', library));
  const folder = standInFolder(installed);
  mkdirSync(folder, { recursive: true });
  const [source, versions, compiled] = [path.join(folder, 'all.c'), path.join(folder, 'all.map'), path.join(folder, 'all.o')];
  writeFileSync(source, sourceOf(imports));
  writeFileSync(versions, versionsOf(imports));
  await lines('g++', '-x', 'c', '-c', '-fPIC', source, '-o', compiled);
  for (const name of imports.libraries)
    await lines(
      'g++',
      ...['-shared', '-nodefaultlibs', compiled, `-Wl,-soname,${name}`, `-Wl,--version-script,${versions}`],
      ...['-o', path.join(folder, name)],
    );
  for (const file of [source, versions, compiled]) rmSync(file);
}
