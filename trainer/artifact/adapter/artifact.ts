/** The export `adapter`: only the trained parameters and their positions. */

import { applyAdapter } from '../../adapter/apply-adapter.ts';
import { readAdapter } from '../../adapter/read-adapter.ts';
import { writeAdapter } from '../../adapter/write-adapter.ts';
import type { Artifact, Opened } from '../artifact.ts';

export const artifact: Artifact = opened => {
  const { adapter, folder, fingerprint } = opened;
  const tensors = [...adapter.tensors.values()].map(({ name, shape }) => ({ name, shape, data: () => adapter.readFloat32(name) }));
  const architecture = String([folder.config.architectures].flat()[0] ?? '');
  const description = { ...adapter.description, base: { ...adapter.description.base, fingerprint, architecture } };
  return {
    bytes: tensors.reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 4), 0),
    write: dir => writeAdapter(dir, { description, tensors }),
    reopen: dir => reopenAdapter(dir, opened),
  };
};

/** Opens the base with the adapter of a folder, ours or PEFT's. */
export async function reopenAdapter(dir: string, { folder: { weights }, model, fingerprint }: Opened) {
  const adapter = await readAdapter(dir);
  return { model, ...(await applyAdapter({ model, weights, fingerprint, adapter })), close: () => adapter.close() };
}
