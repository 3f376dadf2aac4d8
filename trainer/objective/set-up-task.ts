/** Reads the data of a recipe the way its objective does. */
import { withDataFiles } from '../job/open-data.ts';
import { withAnswers } from './answers/write-answers.ts';
import { withBenchmarks } from './benchmarks.ts';
import { setUps } from './set-ups.ts';
import type { SetUpTask } from './task-setup.ts';

/** @throws RunError 'no-data', 'wrong-task'; DataError for malformed data; HubError for a data set that is not on the hub */
export const setUpTask: SetUpTask = async (params, part) => {
  const withFiles = await withDataFiles(params, params.labels ?? params.begunLabels);
  const setup = await withAnswers(withFiles, await setUps[params.recipe.task](withFiles, part));
  // A separate evaluation reports more about benchmarks than their accuracies, so it answers them itself.
  return part === 'train' ? withBenchmarks(withFiles, setup) : setup;
};
