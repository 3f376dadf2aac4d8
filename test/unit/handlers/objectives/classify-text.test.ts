/** Tests that a classifier labels a text of the command line as an evaluation does: its probabilities give the held-out loss. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { required } from '../../../../trainer/narrow.ts';
import { makeEncoderTask } from '../../../support/runs/encoder-task.ts';
import { lossOf } from '../../../support/runs/evaluated.ts';
import { runInProcess } from '../../../support/runs/run-in-process.ts';

interface Sample {
  readonly text: string;
  readonly labels: readonly string[];
}

const LABELS = ['a', 'b', 'c'];
const held: readonly Sample[] = [
  { text: 'xa', labels: ['a'] },
  { text: 'yb yb', labels: ['b'] },
  { text: 'zc', labels: ['c'] },
];
const jsonl = (samples: readonly object[]): string => samples.map(sample => `${JSON.stringify(sample)}\n`).join('');
const single = ({ text, labels: [label] }: Sample): object => ({ text, label });

/** The loss of one sample: of the probability of its label, or the mean over the decisions about each label. */
const losses = {
  sequence_classification: (probability: (label: string) => number, { labels: [label = ''] }: Sample) => -Math.log(probability(label)),
  multi_label_classification: (probability: (label: string) => number, { labels }: Sample) =>
    LABELS.reduce((sum, label) => sum - Math.log(labels.includes(label) ? probability(label) : 1 - probability(label)), 0) / LABELS.length,
} as const;

test.each(['sequence_classification', 'multi_label_classification'] as const)('%s', async task => {
  const samples = task === 'sequence_classification' ? held.map(single) : held;
  const files = { 'train.jsonl': jsonl([...samples, ...samples]), 'held.jsonl': jsonl(samples) };
  const settings = [`task=${task}`, 'data.train=train.jsonl', 'data.eval=held.jsonl', `data.labels=[${LABELS.join(', ')}]`];
  const { folder, context, train } = makeEncoderTask(settings, files);
  try {
    const { value: result } = await train('run', ['num_train_epochs=2', 'learning_rate=0.01']);
    const options = { engine: 'portable', chat: true, maxNewTokens: 1, temperature: 0, topP: 1, topK: 0, seed: 1 } as const;
    const request = { kind: 'generate', model: 'model', revision: 'main', adapter: join(folder, 'run'), options, context } as const;
    let sum = 0;
    for (const sample of held) {
      const { value } = await runInProcess({ ...request, prompt: sample.text });
      const labels = required(value.labels, 'the labels');
      expect(labels.map(({ label }) => label).sort()).toEqual(LABELS);
      expect(labels.map(({ probability }) => probability)).toEqual(labels.map(({ probability }) => probability).sort((a, b) => b - a));
      expect(value.text.split('\n')[0]).toContain(labels[0]?.label);
      sum += losses[task](label => labels.find(found => found.label === label)?.probability ?? Number.NaN, sample);
    }
    expect(sum / held.length).toBeCloseTo(lossOf(result.after), 5);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
