/** Reference pages generated from the catalogs: methods, measures, tasks, engines, export formats. */
import { artifactCatalog } from '../../trainer/catalog/artifacts.ts';
import { engineCatalog, engineChoices } from '../../trainer/catalog/engines.ts';
import { namesOf } from '../../trainer/catalog/entries.ts';
import { type MeasureEntry, measureCatalog } from '../../trainer/catalog/measures.ts';
import { choosesByScores, type MethodEntry, methodCatalog } from '../../trainer/catalog/methods.ts';
import { type ObjectiveEntry, objectiveCatalog } from '../../trainer/catalog/objectives.ts';
import { toolCatalog, toolCommand } from '../../trainer/catalog/tools.ts';
import { settings } from '../../trainer/protocol/recipe/recipe-schema.ts';
import { code, list, page, paragraph, table } from './markdown.ts';

const yes = (value: boolean): string => (value ? 'yes' : 'no');

const budget = ({ r, ratio }: MethodEntry): string =>
  [...(r === undefined ? [] : [`r: ${r.counts}, ${r.fallback}`]), ...(ratio === undefined ? [] : [`ratio: ${ratio}`])].join('; ') || '–';

const targets: Readonly<Record<MethodEntry['targets'], string>> = { required: 'read', optional: 'may be empty', none: 'not read' };

export const methodsPage = (): string =>
  page('Methods', 'trainer/catalog/methods.ts', [
    paragraph(
      '`method` decides how a model is tuned. [How the methods work](../explanation/methods.md) has the formulas, the number of trained values, and what each export contains.',
    ),
    list(Object.entries(methodCatalog).map(([name, { label, summary }]) => `${code(name)}, ${label}: ${summary}`)),
    '## Defaults',
    table(
      ['method', 'budget and its default', '`learning_rate`', 'with a new head, or for embeddings', '`target_modules`'],
      Object.entries(methodCatalog).map(([name, entry]) => [
        code(name),
        budget(entry),
        entry.learningRate.toExponential(),
        (entry.headLearningRate ?? entry.learningRate).toExponential(),
        targets[entry.targets],
      ]),
    ),
    '## What goes together',
    table(
      ['method', 'uses importance', '`dependencies`', '`quantize`', 'PEFT export'],
      Object.entries(methodCatalog).map(([name, entry]) => [
        code(name),
        choosesByScores(name) ? `chooses ${entry.chooses}` : entry.chooses === 'nothing' ? 'no' : `no: ${entry.chooses} at random`,
        yes(entry.hasDependencies),
        entry.needsFullWeights === undefined ? 'yes' : `no: ${entry.needsFullWeights}`,
        entry.noPeft === undefined ? 'yes' : `no: ${entry.noPeft}`,
      ]),
    ),
  ]);

const needs: Readonly<Record<MeasureEntry['needs'], string>> = {
  nothing: 'nothing',
  weights: 'weights',
  inputs: 'forward passes',
  outputs: 'outputs and their gradients',
  gradients: 'gradients of one weight at a time',
  steps: 'a training pass over all candidates, in float32',
};

export const measuresPage = (): string =>
  page('Measures of importance', 'trainer/catalog/measures.ts', [
    paragraph(
      '`importance.measure` decides how rows are scored. [Importance](../explanation/importance.md) has the formulas, the cost, and whether a measure beats random rows.',
    ),
    list(Object.entries(measureCatalog).map(([name, { label, summary }]) => `${code(name)}, ${label}: ${summary}`)),
    '## What each needs',
    table(
      ['measure', 'computed from', 'one sample at a time', 'labels', 'many balanced labels'],
      Object.entries(measureCatalog).map(([name, entry]) => [
        code(name),
        needs[entry.needs],
        yes(entry.perSample),
        yes(entry.byClass),
        yes(entry.needsBalancedLabels),
      ]),
    ),
  ]);

const goals: Readonly<Record<ObjectiveEntry['target'], string>> = {
  tokens: 'the next token',
  label: 'one label',
  labels: 'any number of labels',
  number: 'a number',
  tags: 'a label for each word',
  preference: 'the better of two answers',
  judgment: 'the judgment of an answer',
  similarity: 'the similarity of two texts',
};

export const tasksPage = (): string =>
  page('Tasks', 'trainer/catalog/objectives.ts', [
    paragraph(`\`task\` decides what a model is tuned for. The default is ${code(String(settings.task?.fixedDefault))}.`),
    table(
      ['task', 'name', 'reads', 'trains toward', 'classes of config.json'],
      Object.entries(objectiveCatalog).map(([name, { label, reads, target, architectures }]) => [
        code(name),
        label,
        reads,
        goals[target],
        code(`…${architectures}`),
      ]),
    ),
    list(Object.entries(objectiveCatalog).map(([name, { summary }]) => `${code(name)}: ${summary}`)),
  ]);

export const enginesPage = (): string =>
  page('Engines', 'trainer/catalog/engines.ts and tools.ts', [
    paragraph('`engine` (in a recipe or as `--engine`) decides what computes. `rowtune doctor` shows what is installed.'),
    list(Object.entries(engineChoices).map(([name, summary]) => `${code(name)}: ${summary}`)),
    table(
      ['engine', 'holds 16, 8 and 4 bits', 'offloads the optimizer', 'fuses operations', 'needs an installation'],
      Object.values(engineCatalog).map(({ label, holdsFewerBits, offloadsTo, fuses, isBuiltIn }) => [
        label,
        yes(holdsFewerBits),
        offloadsTo.length === 0 ? 'no' : `to ${offloadsTo.join(' or ')}`,
        yes(fuses),
        yes(!isBuiltIn),
      ]),
    ),
    '## Tools',
    paragraph(
      'Each tool is installed by its command and works offline afterwards. `rowtune engine list` shows the installed tools, and `rowtune engine remove` removes one. `rowtune engine install` also gets the library for images, if it cannot be loaded already.',
    ),
    table(
      ['command', 'installs', 'size', 'purpose'],
      namesOf(toolCatalog).map(name => {
        const { label, megabytes, purpose } = toolCatalog[name];
        return [code(toolCommand(name)), label, `${megabytes} MB`, purpose];
      }),
    ),
  ]);

export const exportsPage = (): string =>
  page('Export formats', 'trainer/catalog/artifacts.ts', [
    paragraph(
      '`rowtune export RUN --format NAME --output DIR` writes one of these. The result is opened again, and its logits are compared with those of the run, before it takes its name. [Methods](methods.md) lists which method has a PEFT export.',
    ),
    list(Object.entries(artifactCatalog).map(([name, { label, summary }]) => `${code(name)}, ${label}: ${summary}.`)),
    ...Object.entries(artifactCatalog).flatMap(([name, { types }]) =>
      types === undefined
        ? []
        : [
            paragraph(`The types of the weights of ${code(name)}, set by ${code('--type')}; the first is the default:`),
            list(
              Object.entries(types).map(([type, label]) => (label === type ? code(type) : `${code(type)}: ${withoutName(type, label)}.`)),
            ),
          ],
    ),
  ]);

/** The label of a type without its name, which begins many labels. */
const withoutName = (type: string, label: string): string => (label.startsWith(`${type}: `) ? label.slice(type.length + 2) : label);
