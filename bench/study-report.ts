/** The study's numbers in their files; a part that is run again replaces its own numbers. */
import { mkdir, readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { writeTextFile } from '../trainer/files/durable-file.ts';
import { studyMarkdown } from './study-markdown.ts';
import type { PartResult, StudyResults, StudyRun } from './study-results.ts';

const readResults = async (folder: string): Promise<StudyResults> =>
  // A file that `writeStudy` made.
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
