/** Bundles the entry points into dist/: the command line, the worker, the language server, the extension and the pages. */
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { build } from 'esbuild';

const root = path.dirname(import.meta.dirname);
const dist = path.join(root, 'dist');

/** Found at run time, each where its own installer puts it. */
const EXTERNAL = ['webgpu', '@tensorflow/tfjs-backend-webgpu', '@tensorflow/tfjs-node-gpu', 'vscode'];

/** What CommonJS packages inside an ES module still ask for; tfjs's WebAssembly loader uses all three. */
const COMMONJS_NAMES = [
  "import { createRequire as bundleCreateRequire } from 'node:module';",
  "import { dirname as bundleDirname } from 'node:path';",
  "import { fileURLToPath as bundleFileURLToPath } from 'node:url';",
  'const require = bundleCreateRequire(import.meta.url);',
  'const __filename = bundleFileURLToPath(import.meta.url);',
  'const __dirname = bundleDirname(__filename);',
].join('\n');

const NODE_ENTRIES = {
  rowtune: 'trainer/cli/main.ts',
  worker: 'trainer/worker.ts',
  server: 'server/main.ts',
  extension: 'client/extension.ts',
};

const shared = { absWorkingDir: root, bundle: true, sourcemap: 'linked', logLevel: 'warning', legalComments: 'linked' };

/** @returns {Promise<void>} rejects with esbuild's list of errors */
async function buildAll() {
  rmSync(path.join(dist, 'wasm'), { recursive: true, force: true });
  const pages = readdirSync(path.join(root, 'media')).filter(file => file.endsWith('.ts'));
  await Promise.all([
    build({
      ...shared,
      entryPoints: NODE_ENTRIES,
      outdir: 'dist',
      platform: 'node',
      format: 'esm',
      target: 'node20',
      external: EXTERNAL,
      mainFields: ['module', 'main'],
      banner: { js: COMMONJS_NAMES },
    }),
    build({
      ...shared,
      entryPoints: pages.map(file => `media/${file}`),
      outdir: 'dist/media',
      platform: 'browser',
      format: 'esm',
      target: 'es2022',
    }),
  ]);
  copyWasm();
}

function copyWasm() {
  const from = path.dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'));
  mkdirSync(path.join(dist, 'wasm'), { recursive: true });
  for (const file of readdirSync(from).filter(name => name.endsWith('.wasm')))
    copyFileSync(path.join(from, file), path.join(dist, 'wasm', file));
}

await buildAll();
