/** The page of the study, generated from all rows: a summary, then each task with its arms, comparisons and learning rates. Pure. */
import { signed, table } from '../report.ts';
import { median } from '../run-side.ts';
import { type ArmName, armNames, defaultArms, defaultOfSpsft, LORA, RANDOM_ROWS } from './arms.ts';
import { compareOverTasks, compareWith, type Difference, isComplete, rowsByTask, type TaskRows, testsOf } from './compare.ts';
import { figureName, figures } from './figures.ts';
import { memoryFigures } from './memory-figures.ts';
import { parts, SEEDS, tasks } from './plan.ts';
import { endOfBest, type RateResult, ratiosAt, STEPS_PER_DECADE, TRIALS } from './rates.ts';
import type { StudyRow } from './rows.ts';
import { scoringCosts } from './scoring-costs.ts';
import { deviation, mean } from './statistics.ts';
import { rateResult } from './study.ts';

export function studyPage(rows: readonly StudyRow[]): string {
  const found = rowsByTask(tasks, rows);
  const sections = [
    INTRODUCTION,
    ...overTasks(found),
    ...atDefaults(found),
    ...scoringCosts(found),
    ...memory(rows),
    ...(rows.length > 0
      ? [`## Learning rates\n\n${[...figures(rows).keys()].map((_, i) => `![Loss by learning rate](${figureName(i)})`).join('\n')}`]
      : []),
    ...rateCosts(found),
    ...found.map(section),
    missing(found),
    compute(rows, found),
  ];
  return `${sections.join('\n\n')}\n`;
}

const INTRODUCTION = `# Which rows, at which rate, and against what

Written by \`npm run study\` from the runs in \`study.jsonl\`, by the plan that was written down before
them ([plan](../study/plan.md)): every arm searches its own learning rate with ${TRIALS} trials on validation
data, then runs ${SEEDS.length} seeds on test data at that rate. A seed sets the new head, the order of the samples
and, for random rows, the rows; both sides of a pair share it.

Differences are of ln(held-out loss): −0.10 is a loss that is 10% lower. **p** is that of a paired
t test, corrected by Holm for all comparisons of its table. **g** is the effect size (Hedges, paired).
An arm with p < 0.05 is marked with a star. **MB** is what training holds in addition to the weights, as
predicted. **Loss on general text** is how much the loss of a language model grew on texts that have
nothing to do with the task, and the **divergence** is KL(base ‖ tuned) there, in nats per token: what
was forgotten.`;

function overTasks(found: readonly TaskRows[]): string[] {
  return [RANDOM_ROWS, LORA].flatMap(other => {
    const compared = compareOverTasks(found, other);
    if (compared.length === 0) return [];
    const lines = compared.map(({ arm, tasks: count, better, mean: center, paired, adjusted }) => [
      marked(arm, adjusted),
      signed(center, 3),
      paired ? `± ${paired.margin.toFixed(3)}` : '–',
      `${better} of ${count}`,
      paired ? pText(adjusted) : '–',
    ]);
    return [`## Over tasks, against ${other}\n\n${table(['arm', 'ln(loss), mean of tasks', '95%', 'better in', 'p'], lines)}`];
  });
}

function memory(rows: readonly StudyRow[]): string[] {
  const names = [...memoryFigures(rows).keys()];
  if (names.length === 0) return [];
  const images = names.map(name => `![Loss by memory](${name})`).join('\n');
  return [
    `## Loss against memory

Each arm at its best rate: lower and further left is better. The memory is predicted, the same for
all seeds, and without the weights, which all arms hold.

${images}`,
  ];
}

/** The losses at default rates, by task, next to the best rate that the same measure found. */
function atDefaults(found: readonly TaskRows[]): string[] {
  const meanLoss = (one: TaskRows, arm: ArmName): string => {
    const losses = testsOf(one, arm).flatMap(({ result }) => (result ? [result.loss] : []));
    return losses.length < SEEDS.length ? '–' : mean(losses).toFixed(3);
  };
  const shown: readonly ArmName[] = [...defaultArms, 'rows, wanda', LORA];
  const complete = found.filter(one => defaultArms.some(arm => isComplete(one, arm)));
  if (complete.length === 0) return [];
  const lines = complete.map(one => {
    const before = one.rows.flatMap(row => (row.purpose === 'test' && row.before ? [row.before.loss] : []));
    return [`\`${one.task.name}\``, mean(before).toFixed(3), ...shown.map(arm => meanLoss(one, arm))];
  });
  const header = shown.map(arm => (defaultArms.includes(arm) ? arm : `${arm}, best rate`));
  return [
    `## At the default rates

Mean held-out loss of ${SEEDS.length} seeds. What SPSFT does by default are ${defaultOfSpsft.causal.replace(', default rate', '')} on language models, and
${defaultOfSpsft.classifier.replace(', default rate', '')} on the others, where columns are shown at 0.006, which is no default.

${table(['task', 'before tuning', ...header], lines)}`,
  ];
}

function section(found: TaskRows): string {
  const { task } = found;
  const tested = found.rows.filter(({ purpose, result }) => purpose === 'test' && result);
  const forgets = tested.some(({ forgetting }) => forgetting);
  return [
    `## ${task.title[0]?.toUpperCase()}${task.title.slice(1)}`,
    facts(found, tested),
    table(
      ['arm', 'loss', 'accuracy', 'trained', 'learning rate', 'MB, predicted', 'CPU seconds', ...(forgets ? FORGETTING : [])],
      armNames.flatMap(arm => armLine(found, arm, forgets)),
    ),
    ...[RANDOM_ROWS, LORA].flatMap(other => comparison(found, other)),
    rateNote(found),
  ].join('\n\n');
}

function facts({ task, base }: TaskRows, tested: readonly StudyRow[]): string {
  const [first] = tested;
  const before = tested.flatMap(row => (row.before ? [row.before.loss] : []));
  const where = [...new Set(tested.map(({ machine, threads }) => `${machine}, ${threads} per run`))].join('; ');
  const size = first ? `${first.steps} updates, ${first.samples} test samples, loss ${mean(before).toFixed(3)} before tuning; ` : '';
  return `${size}task \`${task.name}\`, base ${base.slice(0, 8)}${where === '' ? '' : `; ${where}`}`;
}

/** Columns for language models. */
const FORGETTING = ['loss on general text', 'divergence from the base'];

function armLine(found: TaskRows, arm: ArmName, forgets: boolean): string[][] {
  const all = testsOf(found, arm);
  const runs = all.flatMap(row => (row.result ? [{ ...row, result: row.result }] : []));
  const [first] = runs;
  if (first === undefined)
    return all.length === 0
      ? []
      : [[`${arm} (diverged)`, '–', '–', '–', String(all[0]?.learningRate), '–', '–', ...(forgets ? ['–', '–'] : [])]];
  const count = all.length < SEEDS.length ? ` (${all.length} of ${SEEDS.length} seeds)` : '';
  const lost = runs.length < all.length ? ` (${all.length - runs.length} diverged and are left out)` : '';
  const accuracies = runs.flatMap(({ result }) => (result.accuracy === undefined ? [] : [100 * result.accuracy]));
  const meanOf = (of: (row: StudyRow) => number | undefined, digits: number): string => {
    const values = runs.map(of).filter(value => value !== undefined);
    return values.length > 0 ? mean(values).toFixed(digits) : '–';
  };
  const spreadOf = (of: (row: StudyRow) => number | undefined): string => {
    const values = runs.map(of).filter(value => value !== undefined);
    return values.length > 0 ? spread(values, 3) : '–';
  };
  return [
    [
      `${arm}${count}${lost}`,
      spread(
        runs.map(({ result }) => result.loss),
        3,
      ),
      accuracies.length > 0 ? spread(accuracies, 1) : '–',
      first.trainable.toLocaleString('en-US'),
      String(first.learningRate),
      meanOf(({ memoryBytes }) => memoryBytes && memoryBytes / 1e6, 0),
      meanOf(({ cpuSeconds, beside }) => (beside ? undefined : cpuSeconds), 1),
      ...(forgets ? [spreadOf(({ forgetting }) => forgetting?.loss), spreadOf(({ forgetting }) => forgetting?.divergence)] : []),
    ],
  ];
}

function comparison(found: TaskRows, other: ArmName): string[] {
  const differences = compareWith(found, other);
  if (differences.length === 0) return [];
  const line = ({ arm, loss, accuracy, adjusted }: Difference): string[] => [
    marked(arm, adjusted),
    `${signed(loss.mean, 3)} ± ${loss.margin.toFixed(3)}`,
    signed(loss.effect, 1),
    pText(adjusted),
    accuracy ? `${signed(accuracy.mean, 1)} ± ${accuracy.margin.toFixed(1)}` : '–',
  ];
  return [table([`against ${other}`, 'ln(loss) ± 95%', 'g', 'p', 'accuracy, points ± 95%'], differences.map(line))];
}

/** The complete searches of a task. */
const searchesOf = (found: TaskRows): { readonly arm: ArmName; readonly own: readonly RateResult[] }[] =>
  armNames.flatMap(arm => {
    const own = found.rows.filter(row => row.purpose === 'tune' && row.arm === arm).map(rateResult);
    return own.length === TRIALS ? [{ arm, own }] : [];
  });

/** How much the loss increases if the rate is off by one or two steps, over all complete searches. */
function rateCosts(found: readonly TaskRows[]): string[] {
  const searches = found.flatMap(one => searchesOf(one).map(({ own }) => own));
  const lines = [1, 2].flatMap(steps => {
    const ratios = searches.flatMap(own => ratiosAt(own, steps));
    const factor = (10 ** (steps / STEPS_PER_DECADE)).toFixed(1);
    return ratios.length === 0 ? [] : [[`${factor} times`, `${(100 * (median(ratios) - 1)).toFixed(0)}%`, String(ratios.length)]];
  });
  return lines.length === 0
    ? []
    : [`Validation loss above that of the best rate, ${searches.length} searches:\n\n${table(['off by', 'median', 'rates'], lines)}`];
}

/** Notes the arms whose best rate is at an end of their search. */
function rateNote(found: TaskRows): string {
  const open = searchesOf(found).flatMap(({ arm, own }) => {
    const end = endOfBest(own);
    return end ? [`${arm} (${end.learningRate})`] : [];
  });
  return open.length === 0
    ? 'The best learning rate of every arm lies between others that it tried.'
    : `The best learning rate lies at an end of those tried for ${open.join('; ')}: a better one may lie beyond.`;
}

function missing(found: readonly TaskRows[]): string {
  const lines = parts.flatMap(({ task, arms }) => {
    const own = found.filter(one => one.task.name === task.name);
    const open = arms.filter(arm => !own.some(one => isComplete(one, arm)));
    return open.length === 0 ? [] : [`- \`${task.name}\`: ${open.join('; ')}`];
  });
  return lines.length === 0
    ? 'Every part of the plan is complete.'
    : `## Not done yet\n\n\`npm run study\` continues with these, in this order:\n\n${lines.join('\n')}`;
}

function compute(rows: readonly StudyRow[], found: readonly TaskRows[]): string {
  const hours = rows.reduce((sum, { cpuSeconds, seconds, threads }) => sum + (cpuSeconds ?? seconds * threads) / 3600, 0);
  const used = found.reduce((sum, one) => sum + one.rows.length, 0);
  const dates = rows.map(({ date }) => date.slice(0, 10)).sort();
  const besides = rows.filter(({ beside }) => beside).length;
  const hidden = besides === 0 ? '' : `; those of runs that shared the machine with other work (${besides}) are not shown`;
  const when = dates.length === 0 ? '' : `, ${dates[0]} to ${dates.at(-1)}`;
  return `## Compute\n\n${rows.length} runs, ${hours.toFixed(1)} core hours${when}. ${used} of them are of the plan as it is now. CPU seconds are those of a whole run with loading and compilation${hidden}.`;
}

const marked = (arm: ArmName, adjusted: number): string => (adjusted < 0.05 ? `${arm} *` : arm);
const pText = (p: number): string => (p < 0.001 ? '< 0.001' : p.toFixed(3));
const spread = (values: readonly number[], digits: number): string =>
  `${mean(values).toFixed(digits)} ± ${deviation(values).toFixed(digits)}`;
