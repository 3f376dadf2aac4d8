/** Bundles the entry points into dist/: the command line, the worker, the language server, the extension and the pages. */
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = path.dirname(import.meta.dirname);

/** Modules that are not bundled but found at run time, where their own installers put them. */
const EXTERNAL = ['sharp', 'webgpu', '@tensorflow/tfjs-backend-webgpu', '@tensorflow/tfjs-node-gpu', 'vscode'];

/** Names that CommonJS packages still use inside an ES module; tfjs's WebAssembly loader uses all three. */
const COMMONJS_NAMES = [
  "import { createRequire as bundleCreateRequire } from 'node:module';",
  "import { dirname as bundleDirname } from 'node:path';",
  "import { fileURLToPath as bundleFileURLToPath } from 'node:url';",
  'const require = bundleCreateRequire(import.meta.url);',
  'const __filename = bundleFileURLToPath(import.meta.url);',
  'const __dirname = bundleDirname(__filename);',
].join('\n');

/** Entry points of processes, as ES modules. */
const NODE_ENTRIES = {
  rowtune: 'trainer/cli/main.ts',
  worker: 'trainer/worker-main.ts',
  reader: 'trainer/reader/reader-process.ts',
  tokenize: 'trainer/data/tokens/tokenize-thread.ts',
  server: 'server/language-server.ts',
  mcp: 'trainer/agent/mcp-server.ts',
};

/** Replaces `import.meta.url`, because VS Code loads an extension with `require`. */
const BUNDLE_URL = "const bundleUrl = require('node:url').pathToFileURL(__filename).href;";

/** Omits zod's messages in fifty other languages, which are two thirds of its size and would be parsed by every window. */
const ENGLISH_ONLY = {
  name: 'english-only',
  setup: ({ onLoad }) =>
    onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, ({ path: file }) => ({
      contents: "export { default as en } from './en.js';",
      resolveDir: path.dirname(file),
    })),
};

/** Keeps code that the extension loads on demand in its own file, so that the editor parses less at startup. */
const LAZY_MODULES = {
  name: 'lazy-modules-apart',
  setup: ({ onResolve }) =>
    onResolve({ filter: /\/lazy-modules\.ts$/ }, ({ kind }) =>
      kind === 'entry-point' ? undefined : { path: './lazy.cjs', external: true },
    ),
};

/**
 * Builds all bundles.
 * @param {{ outdir: string, isRelease: boolean }} options outdir: the folder whose bundles are replaced. A release is smaller and has no source maps
 * @returns {Promise<string[]>} the input files of the bundles, relative to the root; rejects with esbuild's list of errors
 */
export async function buildBundles({ outdir, isRelease }) {
  const shared = sharedOptions(isRelease);
  const pages = readdirSync(path.join(root, 'media')).filter(file => /\.(ts|css)$/.test(file));
  const results = await Promise.all([
    buildProcesses({ entryPoints: NODE_ENTRIES, outdir, isRelease }),
    build({
      ...nodeOptions(isRelease),
      plugins: [ENGLISH_ONLY, LAZY_MODULES],
      entryPoints: { extension: 'client/extension.ts', lazy: 'client/lazy-modules.ts' },
      outdir,
      // Compile imports to `require`, which finds the editor's own module.
      supported: { 'dynamic-import': false },
      outExtension: { '.js': '.cjs' },
      format: 'cjs',
      banner: { js: BUNDLE_URL },
      define: { 'import.meta.url': 'bundleUrl' },
    }),
    build({
      ...shared,
      entryPoints: pages.map(file => `media/${file}`),
      outdir: path.join(outdir, 'media'),
      platform: 'browser',
      format: 'esm',
      target: 'es2022',
    }),
  ]);
  return [...new Set([...copyFiles(outdir), ...results.flatMap(({ metafile }) => Object.keys(metafile.inputs))])];
}

/**
 * Bundles Node programs with everything that they import. Code that several of them import is in shared files. Files of an earlier build
 * stay, because a running daemon may still load them.
 * @param {{ entryPoints: Record<string, string>, outdir: string, isRelease: boolean, extension?: string }} options entryPoints: sources by bundle name
 */
export function buildProcesses({ entryPoints, outdir, isRelease, extension = '.js' }) {
  return build({
    ...nodeOptions(isRelease),
    entryPoints,
    outdir,
    outExtension: { '.js': extension },
    format: 'esm',
    splitting: Object.keys(entryPoints).length > 1,
    chunkNames: 'shared-[hash]',
    banner: { js: COMMONJS_NAMES },
  });
}

const nodeOptions = isRelease => ({
  ...sharedOptions(isRelease),
  plugins: [ENGLISH_ONLY],
  platform: 'node',
  target: 'node20',
  external: EXTERNAL,
  mainFields: ['module', 'main'],
});

const sharedOptions = isRelease => ({
  absWorkingDir: root,
  bundle: true,
  logLevel: 'warning',
  metafile: true,
  sourcemap: isRelease ? false : 'linked',
  // Keep names, so that stacks in users' reports are readable.
  minifySyntax: isRelease,
  minifyWhitespace: isRelease,
  // A release includes the full licenses of all packages: scripts/notices.mjs.
  legalComments: isRelease ? 'none' : 'linked',
});

/** Copies files of packages that are used unchanged. @returns {string[]} one file of each package */
export function copyFiles(outdir) {
  const require = createRequire(import.meta.url);
  const folderOf = name => path.dirname(require.resolve(`${name}/package.json`));
  const taken = [
    { from: path.join(folderOf('@tensorflow/tfjs-backend-wasm'), 'dist'), to: 'wasm', kind: /wasm(-simd)?\.wasm$/ },
    // Compiled when the engine is installed.
    { from: path.join(folderOf('@tensorflow/tfjs-node-gpu'), 'binding'), to: 'addon/binding', kind: /\.(cc|h)$/ },
    { from: path.join(folderOf('node-api-headers'), 'include'), to: 'addon/include', kind: /\.h$/ },
    { from: path.join(root, 'trainer', 'engine', 'tensorflow', 'native'), to: 'addon/tensorflow', kind: /\.(cc|h)$/ },
    { from: path.join(root, 'trainer', 'engine', 'pjrt', 'native'), to: 'addon/pjrt', kind: /\.(cc|h)$/ },
    { from: path.join(root, 'trainer', 'engine', 'mpi', 'native'), to: 'addon/ranks', kind: /\.(cc|h)$/ },
    { from: path.join(root, 'trainer', 'engine', 'coder', 'native'), to: 'addon/coder', kind: /\.(cc|h)$/ },
  ];
  return taken.flatMap(({ from, to, kind }) => {
    const target = path.join(outdir, to);
    rmSync(target, { recursive: true, force: true });
    const files = readdirSync(from, { recursive: true }).filter(file => kind.test(file));
    for (const file of files) {
      mkdirSync(path.dirname(path.join(target, file)), { recursive: true });
      copyFileSync(path.join(from, file), path.join(target, file));
    }
    return files.slice(0, 1).map(file => path.relative(root, path.join(from, file)));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildBundles({ outdir: path.join(root, 'dist'), isRelease: false });
