/** Checks for the base of a run, which may have been moved or deleted. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { RunError } from '../run-error.ts';

/**
 * @param model the base as the run names it: a path, or a name on the hub
 * @param way the command, or the part of it, that takes another path
 * @throws RunError 'model-missing' if the base is a path that no longer exists
 */
export function requireBase(model: string, run: string, way: string): void {
  if (!path.isAbsolute(model) || existsSync(model)) return;
  throw new RunError('model-missing', `the base model of ${run} is not at ${model}`, `If it was moved, give its path: ${way}`);
}
