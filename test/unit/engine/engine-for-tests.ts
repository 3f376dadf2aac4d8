/** The installed TensorFlow engine, or the reason why tests that need it are skipped. */
import os from 'node:os';
import path from 'node:path';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { type InstalledEngine, locateEngine } from '../../../trainer/engine/install/engine-folder.ts';
import { openTensorflow } from '../../../trainer/engine/tensorflow/engine.ts';

export async function engineForTests(): Promise<{ engine?: Engine; installed?: InstalledEngine; reason: string }> {
  const cacheDir = process.env.ROWTUNE_CACHE ?? path.join(os.homedir(), '.cache', 'rowtune');
  const installed = locateEngine(cacheDir);
  if (!installed) return { reason: `(skipped: no tensorflow engine in ${cacheDir}; rowtune engine install)` };
  return { engine: await openTensorflow({ cacheDir }), installed, reason: '' };
}
