/** Tests the content and size of the package that users install. */
import { readFileSync } from 'node:fs';
import { expect, inject, test } from 'vitest';
import { zipEntries } from '../../support/files/zip-entries.ts';

/** Maximum size of the package, which every user downloads with each update. The engine is installed separately. */
const MAX_PACKAGE_BYTES = 3_200_000;

const vsix = readFileSync(inject('vsix'));
const sizes = new Map([...(await zipEntries(vsix))].map(([name, content]) => [name, content.length]));
const files = [...sizes.keys()].filter(name => name.startsWith('extension/')).map(name => name.slice('extension/'.length));

test(`the package is smaller than ${MAX_PACKAGE_BYTES / 1e6} MB`, () => {
  console.log(`${inject('vsix')}: ${(vsix.length / 1e6).toFixed(2)} MB, ${files.length} files`);
  expect(vsix.length).toBeLessThan(MAX_PACKAGE_BYTES);
});

test('the bundle that every window loads is below 250 kB', () => {
  expect(sizes.get('extension/dist/extension.cjs')).toBeLessThan(250_000);
});

test('the package contains every part of the extension', () => {
  const bundles = ['extension.cjs', 'lazy.cjs', 'server.js', 'rowtune.js', 'worker.js', 'reader.js', 'tokenize.js', 'mcp.js'].map(
    name => `dist/${name}`,
  );
  const pages = ['run', 'heatmap', 'compare', 'data', 'try'].flatMap(name => [`dist/media/${name}.js`, `dist/media/${name}.css`]);
  const wasm = ['', '-simd'].map(kind => `dist/wasm/tfjs-backend-wasm${kind}.wasm`);
  const addon = [
    'dist/addon/binding/tfjs_binding.cc',
    'dist/addon/binding/tfjs_backend.cc',
    'dist/addon/include/node_api.h',
    'dist/addon/pjrt/addon.cc',
    'dist/addon/tensorflow/kernels/product.cc',
  ];
  const documents = [
    'readme.md',
    'changelog.md',
    'LICENSE.txt',
    'ThirdPartyNotices.txt',
    'docs/reference/diagnostics.md',
    'recipe.schema.json',
    'media/walkthrough/run.png',
    'media/walkthrough/heatmap.png',
  ];
  expect(files).toEqual(expect.arrayContaining([...bundles, ...pages, ...wasm, ...addon, ...documents, 'bin/rowtune.mjs', 'package.json']));
});

test('the package contains nothing else: no sources, tests, source maps or packages', () => {
  const allowed = [
    /^(readme|changelog)\.md$|^LICENSE\.txt$|^ThirdPartyNotices\.txt$|^package\.json$|^recipe\.schema\.json$|^bin\/rowtune\.mjs$|^docs\/reference\/diagnostics\.md$/,
    /^dist\/(\w+|shared-\w+)\.(js|cjs)$|^dist\/media\/[\w-]+\.(js|css)$|^dist\/wasm\/[\w-]+\.wasm$|^dist\/addon\/(binding|coder|include|pjrt|ranks|tensorflow)\/([\w-]+\/)?[\w-]+\.(cc|h)$/,
    /^media\/([\w-]+\/)*[\w-]+\.(svg|png|md)$/,
  ];
  expect(files.filter(file => !allowed.some(pattern => pattern.test(file)))).toEqual([]);
});
