/** `npm run package`: builds dist/rowtune-<version>.vsix. The contents are first laid out in dist/package, file by file. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createVSIX } from '@vscode/vsce';
import { buildBundles } from './build.mjs';
import { thirdPartyNotices } from './notices.mjs';

const root = path.dirname(import.meta.dirname);

/** Files that are copied unchanged; from `media`, only what the manifest refers to, not the sources of the pages. */
const SHIPPED = ['LICENSE', 'bin', 'docs/reference/diagnostics.md', 'media'];
const SOURCE = /\.(ts|css)$|tsconfig\.json$/;

/** Keys that only developers of Rowtune need; everything is bundled, so nothing is installed with the extension. */
const DEVELOPER_KEYS = ['scripts', 'dependencies', 'devDependencies', 'private'];

/**
 * Returns the page that the editor and the marketplace show. They load pictures only over https, and the package names no host. Without an
 * address of the repository, pictures are omitted here; the walkthrough shows them.
 */
function extensionReadme() {
  const text = readFileSync(path.join(root, 'client', 'README.md'), 'utf8');
  return text.replaceAll(/^!\[[^\]]*\]\([^)]+\)\n\n/gm, '');
}

/** Returns the changelog without relative links, because registries show it without the files that they lead to. */
function shippedChangelog() {
  const text = readFileSync(path.join(root, 'CHANGELOG.md'), 'utf8');
  return text.replaceAll(/\[([^\]]+)\]\((?!https?:|#)[^)]+\)/g, '$1');
}

/** Returns the fields of package.json that the extension uses. */
function shippedManifest() {
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  return Object.fromEntries(Object.entries(manifest).filter(([key]) => !DEVELOPER_KEYS.includes(key)));
}

/** Builds the package. @returns {Promise<string>} its path */
export async function makePackage() {
  const stage = path.join(root, 'dist', 'package');
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(stage, { recursive: true });
  const inputs = await buildBundles({ outdir: path.join(stage, 'dist'), isRelease: true });
  for (const item of SHIPPED)
    if (existsSync(path.join(root, item)))
      cpSync(path.join(root, item), path.join(stage, item), { recursive: true, filter: source => !SOURCE.test(source) });
  writeFileSync(path.join(stage, 'README.md'), extensionReadme());
  writeFileSync(path.join(stage, 'CHANGELOG.md'), shippedChangelog());
  writeFileSync(path.join(stage, 'ThirdPartyNotices.txt'), thirdPartyNotices(root, inputs));
  // For editors and tools that have no other support for Rowtune.
  writeFileSync(path.join(stage, 'recipe.schema.json'), execFileSync(process.execPath, [path.join(stage, 'bin', 'rowtune.mjs'), 'schema']));
  const manifest = shippedManifest();
  writeFileSync(path.join(stage, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const packagePath = path.join(root, 'dist', `rowtune-${manifest.version}.vsix`);
  // The package names no host, so a relative link or picture in a page is an error.
  await createVSIX({ cwd: stage, packagePath, dependencies: false, allowMissingRepository: true });
  return packagePath;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = await makePackage();
  console.log(`${path.relative(process.cwd(), file)}: ${(statSync(file).size / 1e6).toFixed(2)} MB`);
}
