/** `npm run bench:pages`: measures frame times of the heatmap in a real browser for bench/results/pages.md. See bench/pages.ts. */
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { buildBundles } from './build.mjs';
import { ensurePackages, root, say } from './steps.mjs';
import { ensureChromium } from './vscode/programs.mjs';

ensurePackages();
const { build } = await import('esbuild');
const outdir = path.join(root, 'dist', 'bench');
await buildBundles({ outdir, isRelease: true });
await build({
  entryPoints: [path.join(root, 'bench', 'pages.ts')],
  outfile: path.join(outdir, 'pages.mjs'),
  bundle: true,
  platform: 'node',
  format: 'esm',
  packages: 'external',
});
const { runPagesBench, pagesReport } = await import(path.join(outdir, 'pages.mjs'));
const report = pagesReport(await runPagesBench({ mediaDir: path.join(outdir, 'media'), executablePath: ensureChromium() }));
say(report);
const machine = `${os.cpus()[0]?.model ?? 'unknown processor'}, ${os.cpus().length} cores, no GPU`;
writeFileSync(
  path.join(root, 'bench', 'results', 'pages.md'),
  `# Frames of the heatmap\n\n126 layers × 7 modules, 19.9 million rows, 1600 × 1000 pixels; the work of the page in each frame. ${machine}.\n\n${report}\n`,
);
