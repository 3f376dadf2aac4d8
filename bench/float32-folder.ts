/** The weights that both sides load: a model as a Hugging Face folder of float32 safetensors. */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { openModel } from '../trainer/hub/open-model.ts';
import { SINGLE_FILE } from '../trainer/hub/safetensors-source.ts';
import { encodeFloat32, writeSafetensors } from '../trainer/hub/safetensors-writer.ts';

/**
 * Writes the weights of a model (a GGUF file, say) as float32 safetensors with their config, once: the weights come last, and appear whole.
 * @returns the folder
 */
export async function float32Folder(source: string, target: string, log: (line: string) => void): Promise<string> {
  const weightsPath = path.join(target, SINGLE_FILE);
  if (existsSync(weightsPath)) return target;
  log(`writing float32 weights of ${source} into ${target}`);
  await mkdir(target, { recursive: true });
  const { config, weights } = await openModel(source);
  try {
    await writeFile(path.join(target, 'config.json'), `${JSON.stringify({ ...config, torch_dtype: 'float32' }, null, 2)}\n`);
    const entries = [...weights.tensors.values()].map(({ name, shape }) => ({
      name,
      dtype: 'F32' as const,
      shape,
      data: async () => encodeFloat32(await weights.readFloat32(name), 'F32'),
    }));
    await writeSafetensors(weightsPath, entries, { format: 'pt' });
  } finally {
    await weights.close();
  }
  return target;
}
