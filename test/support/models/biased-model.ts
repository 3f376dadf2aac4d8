/** A language model whose linear layers have biases. */
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeFloat32 } from '../../../trainer/format/float-format.ts';
import { openSafetensors, SINGLE_FILE } from '../../../trainer/format/safetensors/safetensors-source.ts';
import { writeSafetensors } from '../../../trainer/format/safetensors/safetensors-writer.ts';
import { readRecord } from '../files/read-json.ts';

/** Copies the folder of a small Llama and adds biases to its linear layers. */
export async function giveBiases(from: string, folder: string): Promise<void> {
  cpSync(from, folder, { recursive: true });
  const config = readRecord(join(folder, 'config.json'));
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, attention_bias: true, mlp_bias: true }));
  const source = await openSafetensors(join(from, SINGLE_FILE));
  const values = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const { name, shape } of source.tensors.values()) {
    values.set(name, { shape, data: await source.readFloat32(name) });
    const rows = shape[0] as number;
    if (name.includes('_proj.')) values.set(name.replace('weight', 'bias'), { shape: [rows], data: new Float32Array(rows).fill(0.05) });
  }
  await source.close();
  const entries = [...values].map(([name, { shape, data }]) => ({
    name,
    shape,
    dtype: 'F32' as const,
    data: () => encodeFloat32(data, 'F32'),
  }));
  await writeSafetensors(join(folder, SINGLE_FILE), entries);
}
