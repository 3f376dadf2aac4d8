/** Reads the facts that the linter needs, in processes that can be stopped. */
import { deviceHere } from '../engine/device-here.ts';
import { programsChangedAt } from '../engine/known-programs.ts';
import { DataCache } from '../lint/facts/data-facts.ts';
import { ModelCache } from '../lint/facts/model-facts.ts';
import type { LintSources } from '../lint/lint.ts';
import type { AskReader } from './reader.ts';

export type ReadSources = Pick<LintSources, 'models' | 'data' | 'lintConfig' | 'estimate' | 'programsChangedAt' | 'deviceHere'>;

/** @param cacheDir the folder of downloaded models and compiled programs */
export const readSources = (reader: AskReader, cacheDir: string): ReadSources => ({
  models: new ModelCache(cacheDir, model => reader.ask('modelFacts', { model }, `Reading ${model}`)),
  data: new DataCache(params => reader.ask('dataFact', { ...params, cacheDir }, `Reading ${params.full}`), cacheDir),
  lintConfig: document => reader.ask('lintConfig', { ...document, cacheDir }, `Checking ${document.file}`),
  estimate: ({ knowsPrograms, ...params }, file) =>
    reader.ask('estimate', { ...params, compiledIn: knowsPrograms ? cacheDir : undefined }, `Estimating the memory of ${file}`),
  programsChangedAt: () => programsChangedAt(cacheDir),
  deviceHere: engine => deviceHere(engine, cacheDir),
});
