/** Distinguishes names of data sets on the hub from paths of data. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { dataExtensions } from '../protocol/data-extensions.ts';

/** Matches an organization and a name; the extensions of data files are excluded. */
const NAME = /^\w[\w.-]{0,95}\/\w[\w.-]{0,95}$/;
const ENDINGS = [...dataExtensions, '.bin'];

/** True if a value of a recipe's `data` names a data set on the hub: `org/name` that is not an existing path, in no existing folder. */
export function isDataSetName(written: string, baseDir: string): boolean {
  if (!NAME.test(written) || written.includes('..') || ENDINGS.some(ending => written.toLowerCase().endsWith(ending))) return false;
  return !existsSync(path.resolve(baseDir, written)) && !existsSync(path.resolve(baseDir, written.split('/')[0] ?? ''));
}
