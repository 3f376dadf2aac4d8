/** The study's numbers in their files; a part that is run again replaces its own numbers. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { writeJson } from '../trainer/hub/durable-file.ts';
import { studyMarkdown } from './study-markdown.ts';
import type { Family, PartName } from './study-plan.ts';

export interface StudyRun {
  readonly part: PartName;
  readonly purpose: 'tune' | 'test';
  readonly way: string;
  readonly family: Family;
  readonly learningRate: number;
  readonly seed: number;
  /** Accuracy of the model with its new head, untrained. */
  readonly before: number;
  /** 0 of a run that diverged, whose loss is the largest number and whose steps are 0. */
  readonly accuracy: number;
  readonly loss: number;
  /** Trained parameters, the head's among them, and those of the whole model. */
  readonly trainable: number;
  readonly parameters: number;
  readonly steps: number;
  /** Evaluated. */
  readonly samples: number;
  /** Of the whole run, loading and compiling included. */
  readonly seconds: number;
}

export interface StudyFolders {
  /** bench/results. */
  readonly results: string;
  /** Of data, bases and what is not finished. */
  readonly work: string;
}

export interface PartResult {
  readonly part: PartName;
  /** What the numbers depend on: `planOf`. */
  readonly plan: string;
  readonly runs: readonly StudyRun[];
  /** Since the study began. */
  readonly minutes: number;
}

export type StudyResults = Readonly<Partial<Record<PartName, PartResult & { readonly date: string; readonly machine: string }>>>;

const readResults = async (folder: string): Promise<StudyResults> =>
  JSON.parse(await readFile(path.join(folder, 'study.json'), 'utf8').catch(() => '{}')) as StudyResults;

/** What an interrupted study of a part has made: in the cache folder, so that the results show whole parts alone. */
const progressFile = (folder: string, part: PartName): string => path.join(folder, `${part}-progress.json`);

/** Runs of the same plan that were made before, by a study that was interrupted or is finished. */
export async function earlierRuns(folders: StudyFolders, part: PartName, plan: string): Promise<readonly StudyRun[]> {
  const text = await readFile(progressFile(folders.work, part), 'utf8').catch(() => '{}');
  const found = [JSON.parse(text) as Partial<PartResult>, (await readResults(folders.results))[part]];
  return found.find(result => result?.plan === plan)?.runs ?? [];
}

export const keepProgress = ({ work }: StudyFolders, result: PartResult): Promise<void> =>
  writeJson(progressFile(work, result.part), result);

/** A part that is whole takes the place of its numbers from before. */
export async function writeStudy({ results: folder, work }: StudyFolders, result: PartResult): Promise<void> {
  const file = path.join(folder, 'study.json');
  const cpus = os.cpus();
  const facts = { date: new Date().toISOString().slice(0, 10), machine: `${cpus[0]?.model ?? 'unknown processor'}, ${cpus.length} cores` };
  const results: StudyResults = { ...(await readResults(folder)), [result.part]: { ...result, ...facts } };
  await mkdir(folder, { recursive: true });
  await writeFile(file, `${JSON.stringify(results, null, 1)}\n`);
  await writeFile(path.join(folder, 'study.md'), studyMarkdown(results));
  await rm(progressFile(work, result.part), { force: true });
}
