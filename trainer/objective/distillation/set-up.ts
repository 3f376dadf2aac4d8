/** Sets up distillation, with its samples and its teacher's predictions. */
import path from 'node:path';
import type { Batch, BatchSource } from '../../data/batch/batches.ts';
import { targetStarts } from '../../data/batch/target-runs.ts';
import type { Examples } from '../../data/tokens/example-store.ts';
import type { HostArray } from '../../graph/types.ts';
import type { Evaluator } from '../../job/evaluate.ts';
import { padIdOf } from '../../job/pad-id.ts';
import { elementAt } from '../../narrow.ts';
import { RunError } from '../../run-error.ts';
import type { MeasureSums } from '../../train/measure-sums.ts';
import { setUpTexts } from '../causal/causal-setup.ts';
import type { SetUpParams, SetUpTask } from '../task-setup.ts';
import { tasks } from '../tasks.ts';
import { partLabel, type TeacherPart, teacherFiles } from './teacher-cache.ts';
import { openTeacherFile, type TeacherFile } from './teacher-file.ts';
import { teacherSource } from './teacher-source.ts';

export const setUp: SetUpTask = async (params, part) => {
  const { recipe } = params;
  const texts = await setUpTexts(params, part, { scoresLabels: false });
  const { model, data, base } = texts;
  const parts = [
    { name: 'train', examples: data.train },
    { name: 'held', examples: data.held },
  ] as const;
  const present = parts.filter(({ examples }) => examples.length > 0).map(one => ({ ...one, starts: startsOf(one.examples) }));
  const files = await filesOf(params, padIdOf(base), present);
  const taught = (name: TeacherPart['name'], source: BatchSource, sampleOf = (sample: number) => sample): BatchSource => {
    const starts = present.find(one => one.name === name)?.starts ?? new Float64Array(1);
    return teacherSource({ source, topK: recipe.distillation.top_k, starts, file: files.get(name), sampleOf });
  };
  const digestOf = (name: TeacherPart['name']): string => {
    const fingerprint = files.get(name)?.fingerprint;
    return fingerprint === undefined ? texts.digest[name] : `${texts.digest[name]}:${fingerprint}`;
  };
  return {
    ...texts,
    task: tasks.distillation(model, recipe),
    digest: { train: digestOf('train'), held: digestOf('held') },
    trainSource: (...chosen) => taught('train', texts.trainSource(...chosen)),
    sourceOf: async (indices, batchSize) => taught('train', await texts.sourceOf(indices, batchSize), sample => elementAt(indices, sample)),
    evaluator: texts.evaluator && withDivergence({ ...texts.evaluator, source: taught('held', texts.evaluator.source) }, files.has('held')),
    measure: measured,
  };
};

/** The teacher's predictions for each part that has them. @throws RunError 'no-data'; errors of opening or computing a file */
async function filesOf(
  params: SetUpParams,
  padId: number,
  parts: readonly TeacherPart[],
): Promise<ReadonlyMap<TeacherPart['name'], TeacherFile>> {
  const { recipe, base, context } = params;
  const { teacher, logits, eval_logits: evalLogits, top_k: topK, temperature } = recipe.distillation;
  const entries: [TeacherPart['name'], TeacherFile][] = [];
  if (teacher !== undefined) {
    const files = await teacherFiles({ ...params, padId }, teacher, parts);
    return new Map(parts.map(({ name }, i) => [name, elementAt(files, i)]));
  }
  const vocabulary = base.model.kind === 'causal' ? base.model.vocabularySize : 0;
  for (const one of parts) {
    const file = one.name === 'train' ? logits : evalLogits;
    if (file === undefined && one.name === 'train')
      throw new RunError('no-data', 'the recipe names no teacher', 'Set distillation.teacher to a model, or distillation.logits to a file');
    if (file === undefined) continue;
    const opened = { path: path.resolve(context.baseDir, file), examples: one.examples, part: partLabel(one) };
    entries.push([one.name, await openTeacherFile({ ...opened, topK, temperature, vocabulary })]);
  }
  return new Map(entries);
}

const startsOf = ({ sizes, length }: Examples): Float64Array => targetStarts(countsOf(sizes), length);

function* countsOf(sizes: Examples['sizes']): Generator<number> {
  for (const { targets } of sizes) yield targets;
}

type Outputs = Readonly<Record<string, HostArray>>;

/** The next-token loss, and the divergence from the teacher. */
const measured = ({ targetCount }: Batch, { nll, divergence }: Outputs): MeasureSums => ({
  nll: [sumOf(nll, targetCount), targetCount],
  teacher_divergence: [sumOf(divergence, targetCount), targetCount],
});

function sumOf(values: HostArray | undefined, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += values?.[i] ?? Number.NaN;
  return sum;
}

/** Extends the evaluation of a language model with the divergence from the teacher, if that is known. */
function withDivergence(evaluator: Evaluator, isKnown: boolean): Evaluator {
  if (!isKnown) return evaluator;
  return {
    ...evaluator,
    startTally() {
      const tally = evaluator.startTally();
      let [sum, count] = [0, 0];
      return {
        add(batch, outputs) {
          tally.add(batch, outputs);
          sum += sumOf(outputs.divergence, batch.targetCount);
          count += batch.targetCount;
        },
        result: () => ({ ...tally.result(), measures: { teacher_divergence: sum / count } }),
      };
    },
  };
}
