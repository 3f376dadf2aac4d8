/** Reads the sources of a heatmap from this machine or from the daemon's, and finds more to compare with. */
import { dirname } from 'node:path';
import { choosesByScores } from '../../trainer/catalog/methods.ts';
import { messageOf } from '../../trainer/protocol/error-facts.ts';
import type { HeatmapSource } from '../../trainer/protocol/view/heatmap.ts';
import { hasEnded } from '../daemon/job-store.ts';
import { createFarScores } from './far-scores.ts';
import { candidatesBeside, placeOfScores, type ReadSource, readSource } from './heatmap-source.ts';
import type { PageServices } from './page-services.ts';

export interface SourceReader {
  read(source: HeatmapSource): Promise<ReadSource>;
  /** Returns the file of a source's scores and its version; undefined if it does not exist or cannot be read now. */
  place(source: HeatmapSource): Promise<ReadSource['place']>;
  /** Runs and score files near these sources. */
  candidates(sources: readonly HeatmapSource[]): Promise<readonly HeatmapSource[]>;
  dispose(): void;
}

export function createSourceReader(services: PageServices): SourceReader {
  /** Local copies of files on a remote daemon's machine. */
  const far = services.isRemote() ? createFarScores(services.daemon) : undefined;
  const pathOf = async ({ path, isHere }: HeatmapSource): Promise<string> => (far && !isHere ? far.copyOf(path) : path);
  /** True while a job computes the scores of this source. */
  const isAtWork = ({ path, jobId }: HeatmapSource): boolean =>
    services.jobs().some(job => (job.id === jobId || job.runDir === path) && !hasEnded(job));
  return {
    async read(source) {
      try {
        const path = await pathOf(source);
        const { info, place } = await readSource({ ...source, path }, isAtWork(source));
        return { info: { ...info, path: source.path, problem: info.problem?.replaceAll(path, source.path) }, place };
      } catch (error) {
        // The daemon is unreachable; the next look retries.
        const problem = messageOf(error);
        return { info: { path: source.path, label: source.label, kind: 'scores', sets: [], modules: [], isPartial: false, problem } };
      }
    },
    place: source =>
      pathOf(source)
        .then(placeOfScores)
        .catch(() => undefined),
    async candidates(sources) {
      const here = await candidatesBeside(sources.filter(({ isHere }) => !far || isHere));
      if (!far) return here;
      const folders = [...new Set(sources.flatMap(({ path, isHere }) => (isHere ? [] : [dirname(path)])))];
      const runs = await services.daemon().then(
        async daemon => (await daemon.request('listRuns', { folders })).runs,
        () => [],
      );
      const others = runs.filter(({ runDir, method }) => choosesByScores(method) && sources.every(({ path }) => path !== runDir));
      return [...here.map(source => ({ ...source, isHere: true })), ...others.map(({ runDir, name }) => ({ path: runDir, label: name }))];
    },
    dispose: () => far?.dispose(),
  };
}
