/** Batches of tokens with the teacher's predictions, which are read from its file on demand. */
import { type BatchSource, isTokenBatch, type TokenBatch } from '../../data/batch/batches.ts';
import { targetRuns } from '../../data/batch/target-runs.ts';
import { teacherFeeds } from './teacher-feeds.ts';
import type { TeacherFile } from './teacher-file.ts';
import type { TopTokens } from './top-tokens.ts';

interface TeacherSourceParams {
  readonly source: BatchSource;
  readonly topK: number;
  /** [samples + 1], the first position of each sample of the file, and the end. */
  readonly starts: Float64Array;
  /** The teacher's file; if undefined, its predictions are unknown, and values computed from them are meaningless. */
  readonly file: TeacherFile | undefined;
  /** Returns the sample of the file for a sample of the source. */
  readonly sampleOf: (sample: number) => number;
}

/** Feeds: those of the source, and those of `teacherFeeds`. */
export const teacherSource = ({ source, topK, starts, file, sampleOf }: TeacherSourceParams): BatchSource => ({
  plan: source.plan,
  async fill(planned) {
    const batch = await source.fill(planned);
    if (!isTokenBatch(batch)) throw new Error('a batch without tokens has no teacher');
    const found = file ? await readTargets(batch, { file, starts, sampleOf, topK }) : { ids: new Int32Array(0), logs: new Float32Array(0) };
    const feeds = teacherFeeds(found, topK, batch.bucket.targets);
    return { ...batch, feeds: (of, further) => ({ ...batch.feeds(of, further), ...feeds }) };
  },
});

interface ReadParams extends Pick<TeacherSourceParams, 'starts' | 'sampleOf' | 'topK'> {
  readonly file: TeacherFile;
}

async function readTargets(batch: TokenBatch, { file, starts, sampleOf, topK }: ReadParams): Promise<TopTokens> {
  const size = batch.targetCount * topK;
  const found = { ids: new Int32Array(size), logs: new Float32Array(size) };
  const reads = [...targetRuns(batch, starts, sampleOf)].map(async ({ begin, first, count }) => {
    const { ids, logs } = await file.read(first, count);
    found.ids.set(ids, begin * topK);
    found.logs.set(logs, begin * topK);
  });
  await Promise.all(reads);
  return found;
}
