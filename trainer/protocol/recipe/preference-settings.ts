/** Settings of objectives that compare answers. */
import { entryOf, namesWhere } from '../../catalog/entries.ts';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { defaulted, derived, type Given, group } from './setting.ts';
import { choice, number } from './value-type.ts';

const comparing = namesWhere(objectiveCatalog, ({ compares }) => compares !== undefined);

/** The value for a task that compares no answers; nothing reads it. */
const UNUSED_BETA = 0.1;

const betaOf = ({ task }: Given): number => entryOf(objectiveCatalog, task)?.compares?.beta ?? UNUSED_BETA;

const betas = comparing
  .flatMap(name => {
    const { beta } = objectiveCatalog[name].compares ?? {};
    return beta === undefined ? [] : [`${beta} for ${name}`];
  })
  .join(', ');

export const preferenceGroup = group('Training on preferences: how answers are compared.', {
  loss_type: defaulted(
    choice({
      sigmoid: 'The log-odds of preferring the better answer (Rafailov et al. 2023).',
      sigmoid_norm: 'The same with the log-probability of each answer divided by its tokens.',
      hinge: 'A margin of 1 between the rewards (SLiC).',
      ipo: 'The squared distance of the margin per token from 1 / (2 · beta) (IPO).',
      robust: 'The sigmoid loss, corrected for a share of pairs (label_smoothing) whose order is wrong.',
    }),
    'sigmoid',
    { doc: 'The loss of a pair, named as in TRL.' },
  ),
  beta: derived(number({ min: 0, max: 1000, aboveMin: true }), betas, betaOf, {
    doc: 'The factor of the comparison: with a reference, larger values keep the model closer to it; for orpo, the weight of the odds ratio.',
  }),
  gamma: defaulted(number({ min: 0, max: 1000 }), 1, {
    doc: 'The margin by which the reward of the better answer should be ahead (simpo).',
  }),
  center_rewards_coefficient: defaulted(number({ min: 0, max: 1000 }), 0, {
    doc: 'The weight of the squared sum of both rewards, which keeps their mean near 0 (reward).',
  }),
  label_smoothing: defaulted(number({ min: 0, max: 0.49 }), 0, {
    doc: 'The share of pairs whose order is assumed to be wrong.',
  }),
});
