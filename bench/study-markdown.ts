/** The study as a page: a table of each part, what its learning rates rest on, and each measure against random rows. Pure. */
import { type PartPlan, parts, planOf, SEEDS, tunedWays, type Way, waysOf } from './study-plan.ts';
import { endOfBest } from './study-rates.ts';
import type { PartResult, StudyResults, StudyRun } from './study-results.ts';

export function studyMarkdown(results: StudyResults): string {
  const sections = parts.flatMap(plan => {
    const found = results[plan.name];
    return found ? [section(plan, found, `${found.date}, ${found.machine}`)] : [];
  });
  return `${INTRODUCTION}\n\n${sections.join('\n\n')}\n`;
}

const INTRODUCTION = `# Ways to tune small models, at equal budgets

Written by \`npm run study\`. Accuracy is that of held-out samples in percent: mean and standard
deviation of three seeds. A seed sets the new head, the order of the samples and, for random rows,
the rows. Everything else is the same for all ways: data, updates, batch, AdamW, linear decay after
10% warm-up, a new head trained whole.

**Learning rates.** Each family uses the rate that is best on samples that are neither trained on nor
tested, with a seed of its own. Three rates half a decade apart are tried, then more beyond the end
where the best one lies, up to seven. The rate of spsft is tuned with magnitude and used for every
measure and for random rows. \`taylor\` and \`taylor_squared\` take the gradient of each batch
(\`importance.exact: false\`).

**Limits.** Few samples, few updates, small models: the numbers separate only ways that differ a lot.
One standard error of an accuracy of 90% on n samples is 30/√n points. Seconds are those of a whole
run with loading and compiling, on a machine that may have had other work.

**Against random rows** compares seed by seed, so head and order of the samples are the same on both
sides. A measure that is no better than chance would still win in all three seeds once in eight.

**The bases.** ViT (4 layers of 64) and ResNet (3 basic blocks of 16, 32, 64 channels) were drawn at
random and trained from scratch for 40 epochs on about 500 images of the digits 0 to 4. They are tuned
to all ten digits with a new head, on 30 images of each, and tested on 360. The base was not trained on
the tuning images. MiniLM is all-MiniLM-L6-v2 with a new head. SmolLM2 is SmolLM2-135M-Instruct (from
4-bit weights) and answers with the name of the label: its head is its embedding, and \`head\` trains
that. Both are tuned for one epoch.`;

function section(plan: PartPlan, { runs, plan: madeBy }: PartResult, where: string): string {
  const tested = runs.filter(({ purpose }) => purpose === 'test');
  const ways = waysOf(plan).flatMap(({ name }) => {
    const own = tested.filter(({ way }) => way === name);
    return own.length > 0 ? [line(name, own)] : [];
  });
  const missing = waysOf(plan).filter(({ name }) => tested.filter(({ way }) => way === name).length < SEEDS.length);
  const earlier = madeBy === planOf(plan) ? [] : ['Made with other settings than the study has now: fewer samples, fewer learning rates.'];
  return [
    `## ${plan.title[0]?.toUpperCase()}${plan.title.slice(1)}`,
    `${factsOf(plan, tested, earlier.length === 0)}; ${where}`,
    ...earlier,
    ...(ways.length > 0 ? [table(WAY_HEAD, ways)] : []),
    ...missingNote(plan, missing),
    ...rateNote(plan, runs),
    ...againstRandom(tested),
  ].join('\n\n');
}

/** Ways that came to the study after the part was run, or that it has not come to. */
const missingNote = ({ name }: PartPlan, missing: readonly Way[]): string[] =>
  missing.length === 0
    ? []
    : [`Not run yet: ${missing.map(way => way.name).join('; ')}. \`npm run study -- --parts ${name} --resume\` runs what is missing.`];

function factsOf({ settings, samples: { tune } }: PartPlan, tested: readonly StudyRun[], isOfPlan: boolean): string {
  const done = tested.filter(({ steps }) => steps > 0);
  if (done.length === 0) return 'Nothing is tested yet';
  const { steps = 0, samples = 0 } = done[0] ?? {};
  const made = settings.task === 'image_classification' ? `${tune} images of each class` : `${tune} mails`;
  return `${steps} updates${isOfPlan ? ` on ${made}` : ''}, ${samples} test samples, accuracy ${percent(mean(done.map(({ before }) => before)))}% before tuning`;
}

const WAY_HEAD = ['way', 'accuracy', 'loss', 'trained', 'of all', 'learning rate', 'seconds a run'];

function line(name: string, all: readonly StudyRun[]): string[] {
  const runs = all.filter(({ steps }) => steps > 0);
  const [first] = runs;
  if (!first) return [name, 'diverged', '–', '–', '–', String(all[0]?.learningRate), '–'];
  const lost = all.length - runs.length;
  const notes = [
    ...(all.length < SEEDS.length ? [`${all.length} of ${SEEDS.length} seeds`] : []),
    ...(lost > 0 ? [`${lost} of ${all.length} diverged and are left out`] : []),
  ];
  return [
    notes.length > 0 ? `${name} (${notes.join('; ')})` : name,
    spread(
      runs.map(({ accuracy }) => 100 * accuracy),
      1,
    ),
    spread(
      runs.map(({ loss }) => loss),
      3,
    ),
    first.trainable.toLocaleString('en-US'),
    `${percent(first.trainable / first.parameters)}%`,
    String(first.learningRate),
    mean(runs.map(({ seconds }) => seconds)).toFixed(1),
  ];
}

/** The rates that were tried for each family, with a note where the best still lies at an end. */
function rateNote(plan: PartPlan, runs: readonly StudyRun[]): string[] {
  const tried = tunedWays(waysOf(plan)).flatMap(({ family }) => {
    const own = runs.filter(run => run.purpose === 'tune' && run.family === family);
    return own.length > 0 ? [{ family, own }] : [];
  });
  if (tried.length === 0) return [];
  const lists = tried.map(
    ({ family, own }) =>
      `${family} ${own
        .map(({ learningRate }) => learningRate)
        .sort((a, b) => a - b)
        .join(', ')}`,
  );
  const open = tried.flatMap(({ family, own }) => {
    const end = endOfBest(own);
    return end ? [`${family} (${end.learningRate})`] : [];
  });
  const rest =
    open.length === 0
      ? 'Every best one lies between others.'
      : `The best lies at an end of those tried for ${open.join(', ')}: a better one may lie beyond.`;
  return [`Learning rates tried: ${lists.join('; ')}. ${rest}`];
}

interface Difference {
  readonly way: string;
  /** In points, by seed; above 0 the measure is better. */
  readonly accuracy: readonly number[];
  /** By seed; below 0 the measure is better. */
  readonly loss: readonly number[];
}

function againstRandom(tested: readonly StudyRun[]): string[] {
  const rows = tested.filter(({ family, steps }) => family === 'spsft' && steps > 0);
  const random = new Map(rows.filter(({ way }) => way === RANDOM).map(run => [run.seed, run]));
  const differences = [...new Set(rows.map(({ way }) => way))].flatMap((way): Difference[] => {
    const pairs = rows.flatMap(run => {
      const other = run.way === way ? random.get(run.seed) : undefined;
      return other ? [[run, other] as const] : [];
    });
    if (way === RANDOM || pairs.length < SEEDS.length) return [];
    return [{ way, accuracy: pairs.map(([a, b]) => 100 * (a.accuracy - b.accuracy)), loss: pairs.map(([a, b]) => a.loss - b.loss) }];
  });
  if (differences.length === 0) return [];
  const lines = differences.map(({ way, accuracy, loss }) => [way, signed(accuracy, 1), signed(loss, 3)]);
  return [table(['against random rows', 'accuracy, points', 'loss'], lines), verdict(differences)];
}

const RANDOM = 'spsft, random';

function verdict(differences: readonly Difference[]): string {
  const named = (holds: (difference: Difference) => boolean): string =>
    differences
      .filter(holds)
      .map(({ way }) => way.replace('spsft, ', ''))
      .join(', ') || 'none';
  const better = named(({ accuracy, loss }) => accuracy.every(value => value > 0) && loss.every(value => value < 0));
  const worse = named(({ accuracy, loss }) => accuracy.every(value => value < 0) && loss.every(value => value > 0));
  return `Better than random rows in every seed, by accuracy and by loss: ${better}. Worse in every seed by both: ${worse}.`;
}

const table = (head: readonly string[], lines: readonly (readonly string[])[]): string =>
  [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...lines].map(cells => `| ${cells.join(' | ')} |`).join('\n');

const percent = (share: number): string => (100 * share).toFixed(1);
const spread = (values: readonly number[], digits: number): string =>
  `${mean(values).toFixed(digits)} ± ${deviation(values).toFixed(digits)}`;
const signed = (values: readonly number[], digits: number): string =>
  `${mean(values) < 0 ? '−' : '+'}${spread(
    values.map(value => value * Math.sign(mean(values) || 1)),
    digits,
  )}`;
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The standard deviation of a sample, over n − 1. */
function deviation(values: readonly number[]): number {
  const center = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - center) ** 2, 0) / Math.max(1, values.length - 1));
}
