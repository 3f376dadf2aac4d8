/** Services of the data page whose daemon is this process: each preview is the real job, and the recipe is a text in memory. */

import { messageOf } from '../../trainer/protocol/error-facts.ts';
import { parseRecipe } from '../../trainer/protocol/parse-recipe.ts';
import type { RequestParams } from '../../trainer/protocol/rpc-messages.ts';
import type { DataResult } from '../../trainer/protocol/view/data.ts';
import type { DaemonClient } from '../../trainer/rpc/connect.ts';
import { type TestServices, testServices } from './page-host.ts';
import { runInProcess } from './run-in-process.ts';
import type { TinyTask } from './tiny-task.ts';

export interface DataPageServices extends TestServices {
  /** As it is in the editor. */
  recipeText(): string;
}

export function dataPageServices({ context, folder }: TinyTask, text: string): DataPageServices {
  let recipe = text;
  const jobs = new Map<string, Promise<DataResult>>();
  const preview = ({ id, recipe: source, ...asked }: RequestParams<'previewData'>): void => {
    const { recipe: parsed, problems } = parseRecipe(source.text);
    if (!parsed) throw new Error(problems.map(({ message }) => message).join('; '));
    const { part, from, count, statistics } = asked;
    const request = { kind: 'data', recipe: parsed, context, part, from, count, statistics } as const;
    jobs.set(
      id,
      runInProcess<DataResult>(request).then(({ value }) => value),
    );
  };
  const wait = async (id: string) => {
    try {
      return { id, state: 'succeeded', result: await jobs.get(id) };
    } catch (error) {
      return { id, state: 'failed', failure: { code: 'failed', message: messageOf(error) } };
    }
  };
  const daemon = {
    request: async (name: string, params: RequestParams<'previewData'>) =>
      name === 'previewData' ? preview(params) : name === 'waitForJob' ? wait(params.id) : {},
  };
  return {
    ...testServices(),
    // The page asks for nothing else.
    daemon: async () => daemon as unknown as DaemonClient,
    recipeSource: async () => ({ text: recipe, fileName: 'tiny.rowtune.yaml', baseDir: folder }),
    editRecipe: async (_, edit) => {
      const change = edit(recipe);
      if (change) recipe = recipe.slice(0, change.start) + change.text + recipe.slice(change.end);
    },
    recipeText: () => recipe,
  };
}
