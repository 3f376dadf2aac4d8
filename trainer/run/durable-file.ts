/** Small files of a run, complete or not there at all. */
import { writeTextFile } from '../adapter/write-text-file.ts';

export const writeJson = (file: string, value: unknown): Promise<void> => writeTextFile(file, `${JSON.stringify(value, null, 2)}\n`);
