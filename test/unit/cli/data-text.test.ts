/** Tests the preview of data as text: trained and cut-off text is distinguished without color. */
import { expect, test } from 'vitest';
import { describeSamples, describeStatistics } from '../../../trainer/cli/show/data-text.ts';
import { dataStatistics, loadedPart, type SampleFacts } from '../../../trainer/data/shown/statistics.ts';
import type { SamplePage } from '../../../trainer/protocol/view/data.ts';

const token = (text: string, tag?: string) => ({ text, ids: [1], tag });
const page: SamplePage = {
  part: 'train',
  parts: ['train'],
  from: 4,
  more: true,
  columns: [],
  roles: [],
  mapping: {},
  format: 'prompt_completion: set in the recipe',
  samples: [
    {
      index: 4,
      file: 'a.jsonl',
      line: 7,
      state: 'kept',
      notes: [],
      sequences: [
        {
          length: 3,
          targets: 1,
          cut: 1,
          hidden: 0,
          runs: [
            { use: 'context', tokens: [token('ask'), token(' Ada', 'B-PER')] },
            { use: 'cut', tokens: [token(' more')] },
            { use: 'trained', tokens: [token(' yes')] },
          ],
        },
      ],
    },
    { index: 5, file: 'a.jsonl', line: 8, state: 'malformed', reason: 'key "text": empty text.', notes: [], sequences: [] },
  ],
};

test('samples are shown with marked tokens, their place and their problem', () => {
  expect(describeSamples(page, false)).toBe(
    [
      'format prompt_completion: set in the recipe',
      'trained tokens: ⟦…⟧, cut off: ⟨…⟩',
      '— 4: a.jsonl:7\n  3 tokens, 1 trained, 1 cut off\nask Ada[B-PER]⟨ more⟩⟦ yes⟧',
      '— 5: a.jsonl:8, malformed\nkey "text": empty text.',
      'more samples: --from 6',
    ].join('\n\n'),
  );
  expect(describeSamples(page, false, file => `data/${file}`)).toContain('— 4: data/a.jsonl:7\n');
  expect(describeSamples(page, true)).toContain('\u001b[32m⟦ yes⟧');
  const weighed = [{ use: 'trained', weight: 0.5, tokens: [token(' no')] } as const];
  const sequences = [{ length: 1, targets: 1, cut: 0, runs: weighed, hidden: 0 }];
  const found = describeSamples({ ...page, samples: [{ index: 0, file: 'a', state: 'kept', notes: [], sequences }] }, false);
  expect(found).toContain('with a weight: ⟦×0.5 …⟧');
  expect(found).toContain('⟦×0.5  no⟧');
});

test('no token of a text with a label is trained, so trained tokens are not mentioned', () => {
  const runs = [{ use: 'context', tokens: [token('pay now')] }] as const;
  const sequence = { length: 2, targets: 0, cut: 0, hidden: 0, runs };
  const sample = { index: 0, file: 'a.csv', line: 2, state: 'kept', notes: [], labels: ['spam'], sequences: [sequence] } as const;
  const shown = { ...page, format: undefined, more: false };
  expect(describeSamples({ ...shown, samples: [sample] }, false)).toBe('— 0: a.csv:2, label: spam\n  2 tokens\npay now');
  const cut = { ...sample, sequences: [{ ...sequence, cut: 1 }] };
  expect(describeSamples({ ...shown, samples: [cut] }, false)).toBe(
    'cut off: ⟨…⟩\n\n— 0: a.csv:2, label: spam\n  2 tokens, 1 cut off\npay now',
  );
});

test('images have neither marked tokens nor token counts', async () => {
  const samples: SamplePage['samples'] = [
    { index: 0, file: 'cat/1.png', state: 'kept', notes: [], sequences: [], labels: ['cat'], picture: { src: '', width: 40, height: 30 } },
  ];
  expect(describeSamples({ ...page, format: undefined, more: false, samples }, false)).toBe('— 0: cat/1.png, label: cat, 40 × 30 pixels');
  const images = ['a.png', 'b.png'].map(name => ({ name, width: 4, height: 3 }));
  const read = { index: 0, file: 'x.jsonl', line: 2, state: 'kept', notes: [], sequences: [], images } as const;
  expect(describeSamples({ ...page, samples: [read] }, false)).toContain('— 0: x.jsonl:2, 2 images: a.png, b.png');
  const image = (file: string) => ({ file, length: 1, tokens: 1, targets: 1, input: file, whole: file });
  const [train, held] = [['a', 'b'], []].map(files => loadedPart(files, image));
  if (train === undefined || held === undefined) throw new Error('two parts');
  const found = await dataStatistics({ train, held }, []);
  const shapes = [{ batch: 2, tokens: 1, batches: 1, samples: 2, padding: 0 }];
  const text = describeStatistics({ ...found, parts: found.parts.slice(0, 1).map(part => ({ ...part, shapes })) });
  expect(text).toMatch(/^training: 2 samples\nbatch size {2}batches {2}samples\n *2 +1 +2\n/);
  expect(text).not.toMatch(/token|padding|empty answers/);
});

test('facts about all samples', async () => {
  const facts = (line: number, input: string, whole = input) => ({
    file: 'a',
    line,
    length: 10 + line,
    tokens: 10 + line,
    targets: 2,
    input,
    whole,
  });
  const train = [facts(1, 'x'), facts(2, 'y'), facts(3, 'x'), facts(4, 'y', 'other')];
  const found = await dataStatistics(
    { train: loadedPart(train, sample => sample), held: loadedPart([facts(9, 'y', 'new')], sample => sample) },
    ['read'],
  );
  expect(describeStatistics(found)).toContain('duplicates: 1 (a:1 = a:3)');
  expect(describeStatistics(found, file => `data/${file}`)).toContain('duplicates: 1 (data/a:1 = data/a:3)');
  expect(describeStatistics(found)).toContain('same input with another answer: 1 (a:2 = a:4)');
  expect(describeStatistics(found)).toContain('held-out samples that are also trained on: 1 (a:2 = a:9)');
  expect(found.parts[0]?.histogram.map(({ from, count }) => [from, count])).toEqual([
    [11, 1],
    [12, 1],
    [13, 1],
    [14, 1],
  ]);
});

test('no token of texts with labels or numbers is trained, so their count is not called that', async () => {
  const sample = { file: 'a', line: 1, length: 10, tokens: 10, targets: 0, input: 'x', whole: 'x', labels: ['spam'] };
  const read = async (facts: SampleFacts) => {
    const found = await dataStatistics({ train: loadedPart([facts], one => one), held: loadedPart([], one => one) }, []);
    return describeStatistics(found);
  };
  expect(await read(sample)).toContain('same input with another label: none');
  expect(await read(sample)).not.toContain('empty answers');
  expect(await read({ ...sample, labels: [], isEmpty: true })).toContain('empty answers: 1 (a:1)');
  for (const labels of [['spam'], []]) expect(await read({ ...sample, labels })).toMatch(/^training: 1 sample, 10 tokens$/m);
  // A label that is one token of an answer.
  expect(await read({ ...sample, targets: 1 })).toMatch(/^training: 1 sample, 10 tokens, 1 trained$/m);
  expect(await read({ ...sample, targets: 4, labels: ['PER', 'PER'] })).toMatch(/^training: 1 sample, 10 tokens, 4 trained$/m);
});

test.each([
  ['chosen', 'better answer'],
  ['rejected', 'worse answer'],
  ['desirable', 'good answer'],
  ['undesirable', 'bad answer'],
] as const)('an answer that is %s is called a %s', (side, name) => {
  const sequences = [{ side, length: 2, targets: 1, cut: 0, hidden: 0, runs: [{ use: 'trained', tokens: [token('ok')] }] }] as const;
  const found = describeSamples({ ...page, samples: [{ index: 0, file: 'a', state: 'kept', notes: [], sequences }] }, false);
  expect(found).toContain(`\n  ${name}, 2 tokens, 1 trained\n`);
});
