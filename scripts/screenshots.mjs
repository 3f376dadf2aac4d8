/**
 * `npm run screenshots`: retakes the pictures of the documentation in a real editor with the demo's run, which takes minutes. `npm run
 * screenshots -- themes` also takes every page in every kind of theme and leaves those pictures in dist/screenshots for review.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { buildBundles, cacheFolder, ensureEngine, ensurePackages, root, StepError, say } from './steps.mjs';

const TAKEN = path.join(root, 'dist', 'screenshots');

/** The path of each picture in the documentation. */
const PLACES = {
  'docs-run': 'media/walkthrough/run.png',
  'docs-heatmap': 'media/walkthrough/heatmap.png',
  'docs-recipe': 'docs/images/recipe.png',
};

/**
 * Copies the pictures. An editor's colors fit a palette, which reduces the size to a third; two of the pictures are part of the package.
 */
async function place() {
  const { default: sharp } = await import('sharp');
  for (const [name, file] of Object.entries(PLACES)) {
    const { size } = await sharp(path.join(TAKEN, `${name}.png`))
      .png({ palette: true, compressionLevel: 9, effort: 10, dither: 0 })
      .toFile(path.join(root, file));
    say(`${file}: ${Math.round(size / 1000)} kB`);
  }
}

async function main([first]) {
  ensurePackages();
  buildBundles();
  if (!ensureEngine()) throw new StepError('the pictures show a run on TensorFlow, which could not be installed');
  const { ensureModel } = await import('./demo/model.mjs');
  const { ensureSpamData } = await import('./demo/spam-data.mjs');
  const cache = cacheFolder();
  const demo = { model: await ensureModel(cache), ...ensureSpamData(path.join(cache, 'demo', 'spam')) };
  const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const { status } = spawnSync(process.execPath, [vitest, 'run', '--project', 'screenshots'], {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      // With CI set, a missing editor is an error instead of a silent skip.
      CI: '1',
      ROWTUNE_SCREENSHOTS: TAKEN,
      ROWTUNE_SCREENSHOT_DEMO: JSON.stringify(demo),
      ROWTUNE_SCREENSHOT_THEMES: first === 'themes' ? '1' : '0',
    },
  });
  if (status !== 0) throw new StepError(`the pictures could not be taken; what was seen is in ${TAKEN}`);
  await place();
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof StepError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
