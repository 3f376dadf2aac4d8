/** A run that lasts as long as a test needs, and what its folder and its page report. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { parseJson } from '../../support/files/read-json.ts';
import type { Workbench } from './driver.ts';

/** Delay before the page is searched for again. */
const PAGE_MS = 5000;
/** Time limit for a start: loading, scoring and compiling come before the first update. */
export const START_MS = 240_000;

/** A recipe that lasts a quarter of an hour; the tiny model makes some hundred updates per second. */
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
  /** The state in the run's folder: `preparing`, `running`, `stopped` … */
  readonly state: string;
  /** Number of metrics lines on disk. */
  readonly lines: number;
}

export const writeLongRecipe = (folder: string): void => writeFileSync(join(folder, 'mine.rowtune.yaml'), RECIPE);

export function readRun(folder: string): LongRun {
  const read = (name: string): string => readFileSync(join(folder, 'runs', 'mine', name), 'utf8');
  const { state } = parseJson(read('state.json'), z.object({ state: z.string() }));
  return { state, lines: read('metrics.jsonl').trimEnd().split('\n').length };
}

/** Returns the steps that the run's page shows ("2,010 of 20,000 steps · …"); 0 if the page is not open. */
export async function stepsDone(workbench: Workbench): Promise<number> {
  const text = (await shownText(workbench, '.run-facts')) ?? '';
  return Number(/^([\d,]+) of/.exec(text)?.[1]?.replaceAll(',', '') ?? 0);
}

/** Returns the state that the page shows. */
export const shownState = (workbench: Workbench): Promise<string | undefined> => shownText(workbench, '.run-title .pill');

/** Returns a text of the run's page; undefined if the page is being replaced by a new one, because queries to the old one fail. */
async function shownText(workbench: Workbench, selector: string): Promise<string | undefined> {
  try {
    const page = await workbench.webview('.run-facts', PAGE_MS);
    return (await page.locator(selector).textContent({ timeout: PAGE_MS })) ?? undefined;
  } catch {
    return undefined;
  }
}
