/** Tells names of data sets on the hub from paths of data. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { dataExtensions } from '../protocol/data-extensions.ts';

/** An organization and a name, without an ending of data files. */
const NAME = /^\w[\w.-]{0,95}\/\w[\w.-]{0,95}$/;
const ENDINGS = [...dataExtensions, '.bin'];

/** Whether a value of a recipe's `data` names a data set on the hub: `org/name` that is no path here, in no folder that exists. */
export function isDataSetName(written: string, baseDir: string): boolean {
  if (!NAME.test(written) || written.includes('..') || ENDINGS.some(ending => written.toLowerCase().endsWith(ending))) return false;
  return !existsSync(path.resolve(baseDir, written)) && !existsSync(path.resolve(baseDir, written.split('/')[0] ?? ''));
}
