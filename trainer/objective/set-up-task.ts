/** Reads the data of a recipe as its objective does. */
import { withDataFiles } from '../job/open-data.ts';
import { withAnswers } from './answers/write-answers.ts';
import { withBenchmarks } from './benchmarks.ts';
import { setUps } from './set-ups.ts';
import type { SetUpTask } from './task-setup.ts';

/** @throws RunError 'no-data', 'wrong-task'; DataError for data that is malformed; HubError for a data set that the hub does not have */
export const setUpTask: SetUpTask = async (params, part) => {
  const withFiles = await withDataFiles(params);
  const setup = await withAnswers(withFiles, await setUps[params.recipe.task](withFiles, part));
  // An evaluation by itself answers them with more than their accuracies.
  return part === 'train' ? withBenchmarks(withFiles, setup) : setup;
};
