/** Reads the data of a recipe as its objective does. */
import { setUps } from './set-ups.ts';
import type { SetUpTask } from './task-setup.ts';

/** @throws RunError 'no-data', 'wrong-task'; DataError for data that is malformed */
export const setUpTask: SetUpTask = (params, part) => setUps[params.recipe.task](params, part);
