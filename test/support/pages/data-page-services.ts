/** Services of the data page with this process as the daemon: each preview is the real job, and the recipe is a text in memory. */

import { messageOf } from '../../../trainer/protocol/error-facts.ts';
import type { JobRecord, RequestParams } from '../../../trainer/protocol/messages/rpc-messages.ts';
import type { DataResult } from '../../../trainer/protocol/view/data.ts';
import { applyChange } from '../apply-change.ts';
import { fakeDaemon } from '../daemon/fake-daemon.ts';
import { jobRecord } from '../daemon/job-record.ts';
import { recipeIn } from '../runs/recipe-of.ts';
import { runInProcess } from '../runs/run-in-process.ts';
import type { TinyTask } from '../runs/tiny-task.ts';
import { type TestServices, testServices } from './page-host.ts';

export interface DataPageServices extends TestServices {
  /** The recipe's text in the editor. */
  recipeText(): string;
}

export function dataPageServices({ context, folder }: TinyTask, text: string): DataPageServices {
  let recipe = text;
  const jobs = new Map<string, Promise<DataResult>>();
  const preview = ({ id, recipe: source, ...asked }: RequestParams<'previewData'>): JobRecord => {
    const { part, from, count, statistics } = asked;
    const request = { kind: 'data', recipe: recipeIn(source.text), context, part, from, count, statistics } as const;
    jobs.set(
      id,
      runInProcess(request).then(({ value }) => value),
    );
    return jobRecord({ id, kind: 'data' });
  };
  const wait = async ({ id }: RequestParams<'waitForJob'>): Promise<JobRecord> => {
    try {
      return jobRecord({ id, kind: 'data', state: 'succeeded', result: await jobs.get(id) });
    } catch (error) {
      return jobRecord({ id, kind: 'data', state: 'failed', failure: { code: 'failed', message: messageOf(error) } });
    }
  };
  const daemon = fakeDaemon({
    previewData: preview,
    waitForJob: wait,
    abortJob: ({ id }) => jobRecord({ id, kind: 'data', state: 'aborted' }),
  });
  return {
    ...testServices(),
    daemon: async () => daemon,
    recipeSource: async () => ({ text: recipe, fileName: 'tiny.rowtune.yaml', baseDir: folder }),
    editRecipe: async (_, edit) => {
      recipe = applyChange(recipe, edit(recipe));
    },
    recipeText: () => recipe,
  };
}
