/** Settings of objectives that compare answers. */
import { choicesOf, entryOf, namesWhere } from '../../../catalog/entries.ts';
import { objectiveCatalog } from '../../../catalog/objectives.ts';
import { lossesOf, type PreferenceLoss, preferenceLosses } from '../../../catalog/preference-losses.ts';
import { referenceCatalog } from '../../../catalog/references.ts';
import { elementAt } from '../../../narrow.ts';
import { defaulted, derived, type Given, group } from '../setting.ts';
import { choice, number } from '../value-type.ts';

const comparing = namesWhere(objectiveCatalog, ({ compares }) => compares !== undefined);

/** The value for a task that compares no answers; it has no effect. */
const UNUSED_BETA = 0.1;

const betaOf = ({ task }: Given): number => entryOf(objectiveCatalog, task)?.compares?.beta ?? UNUSED_BETA;

/** The default loss: that of most tasks, and the value for a task that offers no choice. */
const lossOf = (task: unknown): PreferenceLoss => elementAt(lossesOf(entryOf(objectiveCatalog, task)?.compares?.answers ?? 'pairs'), 0);

const lossDefaults = comparing
  .filter(name => objectiveCatalog[name].compares?.hasLossTypes)
  .map(name => `${lossOf(name)} for ${name}`)
  .join(', ');

const betas = comparing
  .flatMap(name => {
    const { beta } = objectiveCatalog[name].compares ?? {};
    return beta === undefined ? [] : [`${beta} for ${name}`];
  })
  .join(', ');

export const preferenceGroup = group('Training on preferences: how answers are compared.', {
  loss_type: derived(choice(choicesOf(preferenceLosses)), lossDefaults, ({ task }) => lossOf(task), {
    doc: 'The loss of a sample, named as in TRL.',
  }),
  beta: derived(number({ min: 0, max: 1000, aboveMin: true }), betas, betaOf, {
    doc: 'The factor of the comparison: with a reference, larger values keep the model closer to it; for orpo, the weight of the odds ratio.',
  }),
  reference: defaulted(choice(choicesOf(referenceCatalog)), 'cached', {
    doc: 'When the base model reads the answers (dpo, kto). Both ways give the same losses, without a second model in memory.',
  }),
  gamma: defaulted(number({ min: 0, max: 1000 }), 1, {
    doc: 'The margin by which the reward of the better answer should be ahead (simpo).',
  }),
  center_rewards_coefficient: defaulted(number({ min: 0, max: 1000 }), 0, {
    doc: 'The weight of the squared sum of both rewards, which keeps their mean near 0 (reward).',
  }),
  desirable_weight: defaulted(number({ min: 0, max: 1000, aboveMin: true }), 1, {
    doc: 'The factor of the losses of good answers (kto).',
  }),
  undesirable_weight: defaulted(number({ min: 0, max: 1000, aboveMin: true }), 1, {
    doc: 'The factor of the losses of bad answers (kto). Weights make up for an uneven number of good and bad answers.',
  }),
  label_smoothing: defaulted(number({ min: 0, max: 0.49 }), 0, {
    doc: 'The share of pairs whose order is assumed to be wrong.',
  }),
});
