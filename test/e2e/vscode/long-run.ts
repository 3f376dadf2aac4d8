/** A run that lasts as long as a test wants, and what its folder and its page say of it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { parseJson } from '../../support/files/read-json.ts';
import type { Workbench } from './driver.ts';

/** Before a page is looked for anew. */
const PAGE_MS = 5000;
/** Loading, scoring and compiling come before the first update. */
export const START_MS = 240_000;

/** The tiny model makes some hundred updates a second: these last for a quarter of an hour. */
const RECIPE = [
  'model: model',
  'method: spsft',
  'r: 8',
  'data: { train: train.jsonl, eval: heldout.jsonl, prompt: "{text}:" }',
  'max_length: 48',
  'learning_rate: 1.0e-3',
  'max_steps: 200000',
  'eval_strategy: steps',
  'eval_steps: 1000',
  'logging_steps: 50',
  'save_strategy: steps',
  'save_steps: 1000',
  'importance: { measure: taylor }',
  '',
].join('\n');

export interface LongRun {
  /** `preparing`, `running`, `stopped` …, as the run's folder says. */
  readonly state: string;
  /** Lines of metrics that are on the disk. */
  readonly lines: number;
}

export const writeLongRecipe = (folder: string): void => writeFileSync(join(folder, 'mine.rowtune.yaml'), RECIPE);

export function readRun(folder: string): LongRun {
  const read = (name: string): string => readFileSync(join(folder, 'runs', 'mine', name), 'utf8');
  const { state } = parseJson(read('state.json'), z.object({ state: z.string() }));
  return { state, lines: read('metrics.jsonl').trimEnd().split('\n').length };
}

/** The steps that the run's page shows ("2,010 of 20,000 steps · …"); 0 if the page is not open. */
export async function stepsDone(workbench: Workbench): Promise<number> {
  const text = (await shownText(workbench, '.run-facts')) ?? '';
  return Number(/^([\d,]+) of/.exec(text)?.[1]?.replaceAll(',', '') ?? 0);
}

/** The word for its state on its page. */
export const shownState = (workbench: Workbench): Promise<string | undefined> => shownText(workbench, '.run-title .pill');

/** A page that is opened anew is another: what is asked of the one before has no answer. */
async function shownText(workbench: Workbench, selector: string): Promise<string | undefined> {
  try {
    const page = await workbench.webview('.run-facts', PAGE_MS);
    return (await page.locator(selector).textContent({ timeout: PAGE_MS })) ?? undefined;
  } catch {
    return undefined;
  }
}
