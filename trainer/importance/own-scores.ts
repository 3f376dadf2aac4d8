/** The files that new scores may replace: those that an earlier scoring wrote. */
import { stat } from 'node:fs/promises';
import { MAX_JSON_BYTES, readRegularText } from '../files/regular-file.ts';
import { openSafetensors } from '../format/safetensors/safetensors-source.ts';
import { codeOf } from '../protocol/error-facts.ts';
import { ImportanceError } from './importance-error.ts';
import { partialPath } from './partial-scores.ts';
import { METADATA_KEY, originSchema } from './scores-file.ts';
import { isReportPage, REPORT_KEYS } from './stability-report.ts';

/**
 * Checks the output files; called before anything is computed.
 * @param outputFile the file of scores, next to which a summary and, with `report`, a report are written
 * @throws ImportanceError that names the first file or folder that rowtune did not write
 */
export async function requireOwnScores(outputFile: string, report: boolean): Promise<void> {
  const partial = partialPath(outputFile);
  const files: (readonly [file: string, isOurs: (file: string) => Promise<boolean>])[] = [
    [outputFile, isScores],
    [`${outputFile}.json`, isSummary],
    [partial, isScores],
    [`${partial}.json`, isSummary],
  ];
  if (report) files.push([`${outputFile}.report.json`, isReport], [`${outputFile}.report.md`, isPage]);
  for (const [file, isOurs] of files) {
    if (!(await exists(file)) || (await isOurs(file).catch(() => false))) continue;
    throw new ImportanceError(
      `${file} is in the place of the scores, and was not written by rowtune importance, so it is not replaced; choose another --output`,
    );
  }
}

const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    error => codeOf(error) !== 'ENOENT',
  );

async function isScores(file: string): Promise<boolean> {
  const source = await openSafetensors(file);
  await source.close();
  return originSchema.safeParse(JSON.parse(source.metadata[METADATA_KEY] ?? 'null')).success;
}

const readJson = async (file: string): Promise<unknown> => JSON.parse(await readRegularText(file, MAX_JSON_BYTES));

const isSummary = async (file: string): Promise<boolean> => originSchema.safeParse(await readJson(file)).success;

async function isReport(file: string): Promise<boolean> {
  const found = await readJson(file);
  return found !== null && typeof found === 'object' && REPORT_KEYS.every(key => key in found);
}

const isPage = async (file: string): Promise<boolean> => isReportPage(await readRegularText(file, MAX_JSON_BYTES));
