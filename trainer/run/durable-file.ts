/** What makes files of a run outlive a power cut. */
import { open } from 'node:fs/promises';
import { writeTextFile } from '../adapter/write-text-file.ts';

export const writeJson = (file: string, value: unknown): Promise<void> => writeTextFile(file, `${JSON.stringify(value, null, 2)}\n`);

/** Makes names in a folder durable; Windows cannot open folders and does not need it. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
