/** The installed TensorFlow engine, or the reason why tests that need it are skipped. */
import type { Engine } from '../../../trainer/engine/engine.ts';
import { type InstalledEngine, locateEngine } from '../../../trainer/engine/install/engine-folder.ts';
import { openTensorflow } from '../../../trainer/engine/tensorflow/engine.ts';
import { cacheDir } from '../../support/cache-dir.ts';

export async function engineForTests(): Promise<{ engine?: Engine; installed?: InstalledEngine; reason: string }> {
  const installed = locateEngine(cacheDir);
  if (!installed) return { reason: `(skipped: no tensorflow engine in ${cacheDir}; rowtune engine install)` };
  return { engine: await openTensorflow({ cacheDir }), installed, reason: '' };
}
