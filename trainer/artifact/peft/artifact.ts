/** The export `peft`: an adapter that PEFT can load. */
import { reopenAdapter } from '../adapter/artifact.ts';
import type { Artifact } from '../artifact.ts';
import { peftBytes, writePeft } from './peft-folder.ts';

export const artifact: Artifact = opened => {
  const params = { ...opened, config: opened.folder.config, weights: opened.folder.weights };
  return { bytes: peftBytes(params), write: dir => writePeft(dir, params), reopen: dir => reopenAdapter(dir, opened) };
};
