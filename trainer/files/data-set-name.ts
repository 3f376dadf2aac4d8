/** Tells names of data sets on the hub from paths of data. */
import { existsSync } from 'node:fs';
import path from 'node:path';

/** An organization and a name, without an ending of data files. */
const NAME = /^\w[\w.-]{0,95}\/\w[\w.-]{0,95}$/;
const DATA_FILE = /\.(json|jsonl|ndjson|csv|tsv|txt|parquet|bin|conll|bio|iob|iob2|iobes|bilou)$/i;

/** Whether a value of a recipe's `data` names a data set on the hub: `org/name` that is no path here, in no folder that exists. */
export function isDataSetName(written: string, baseDir: string): boolean {
  if (!NAME.test(written) || written.includes('..') || DATA_FILE.test(written)) return false;
  return !existsSync(path.resolve(baseDir, written)) && !existsSync(path.resolve(baseDir, written.split('/')[0] ?? ''));
}
