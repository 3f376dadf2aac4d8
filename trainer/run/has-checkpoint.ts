/** Checks whether a run can be resumed. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { CHECKPOINT_NAME, RUN_FILES } from '../protocol/run/run-files.ts';

export function hasCheckpoint(runDir: string): boolean {
  try {
    return readdirSync(path.join(runDir, RUN_FILES.checkpoints)).some(name => CHECKPOINT_NAME.test(name));
  } catch {
    return false;
  }
}
