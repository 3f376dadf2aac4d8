/** The study's numbers in their files; a part that is run again replaces its own numbers. */
import { mkdir, readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { writeTextFile } from '../trainer/files/durable-file.ts';
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
  /** The time of the whole run, including loading and compilation. */
  readonly seconds: number;
}

export interface PartResult {
  readonly part: PartName;
  /** The settings that the numbers depend on: `planOf`. */
  readonly plan: string;
  /** The fingerprint of the base's weights: trained on another machine it is another base. */
  readonly base: string;
  readonly runs: readonly StudyRun[];
  /** Since the study began. */
  readonly minutes: number;
}

export type StudyResults = Readonly<Partial<Record<PartName, PartResult & { readonly date: string; readonly machine: string }>>>;

const readResults = async (folder: string): Promise<StudyResults> =>
  JSON.parse(await readFile(path.join(folder, 'study.json'), 'utf8').catch(() => '{}')) as StudyResults;

/** Runs of the same plan and base that were made before, by a study that was interrupted or is finished. @param folder bench/results */
export async function earlierRuns(
  folder: string,
  { part, plan, base }: Omit<PartResult, 'runs' | 'minutes'>,
): Promise<readonly StudyRun[]> {
  const found = (await readResults(folder))[part];
  return found?.plan === plan && found.base === base ? found.runs : [];
}

/** A part replaces its earlier numbers; an incomplete part says what it lacks and can be continued on any machine. */
export async function writeStudy(folder: string, result: PartResult): Promise<void> {
  const cpus = os.cpus();
  const facts = { date: new Date().toISOString().slice(0, 10), machine: `${cpus[0]?.model ?? 'unknown processor'}, ${cpus.length} cores` };
  const results: StudyResults = { ...(await readResults(folder)), [result.part]: { ...result, ...facts } };
  await mkdir(folder, { recursive: true });
  await writeTextFile(path.join(folder, 'study.json'), `${JSON.stringify(results, null, 1)}\n`);
  await writeTextFile(path.join(folder, 'study.md'), studyMarkdown(results));
}
