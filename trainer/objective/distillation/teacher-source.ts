/** Batches of tokens with what the teacher predicts for them, read from its file when their turn comes. */
import { type BatchSource, isTokenBatch, type TokenBatch } from '../../data/batch/batches.ts';
import { teacherFeeds } from './teacher-feeds.ts';
import type { TeacherFile } from './teacher-file.ts';
import type { TopTokens } from './top-tokens.ts';

interface TeacherSourceParams {
  readonly source: BatchSource;
  readonly topK: number;
  /** [samples + 1] the first position of each sample of the file, and the end. */
  readonly starts: Float64Array;
  /** Left out: nothing is known of the teacher, and what is computed from it means nothing. */
  readonly file: TeacherFile | undefined;
  /** The sample of the file that a sample of the source is. */
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
    return { ...batch, feeds: (of, update) => ({ ...batch.feeds(of, update), ...feeds }) };
  },
});

interface ReadParams extends Pick<TeacherSourceParams, 'starts' | 'sampleOf' | 'topK'> {
  readonly file: TeacherFile;
}

/** Targets of a sample stand together, in their order. */
async function readTargets({ targetSamples, targetCount }: TokenBatch, { file, starts, sampleOf, topK }: ReadParams): Promise<TopTokens> {
  const found = { ids: new Int32Array(targetCount * topK), logs: new Float32Array(targetCount * topK) };
  const reads: Promise<void>[] = [];
  for (let begin = 0; begin < targetCount; ) {
    const sample = sampleOf(targetSamples[begin] as number);
    const [first, count] = [starts[sample] as number, (starts[sample + 1] as number) - (starts[sample] as number)];
    const at = begin * topK;
    reads.push(
      file.read(first, count).then(({ ids, logs }) => {
        found.ids.set(ids, at);
        found.logs.set(logs, at);
      }),
    );
    begin += count;
  }
  await Promise.all(reads);
  return found;
}
