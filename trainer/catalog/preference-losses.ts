/** The losses for compared or judged answers, named as in TRL. Code asks for a capability of an entry. */
import { entryOf, namesOf } from './entries.ts';
import type { Comparison } from './objectives.ts';

interface PreferenceLossEntry {
  /** One sentence for completion, hover and help. */
  readonly summary: string;
  /** The kind of samples that it supports. */
  readonly answers: Comparison['answers'];
  /** Present if it includes the share of pairs whose order is wrong (`preference.label_smoothing`). */
  readonly readsSmoothing?: true;
  /** Present if rewards are compared with the mean log-ratio of mismatched answers, so that each sample takes a second row. */
  readonly hasReferencePoint?: true;
}

const entries = {
  sigmoid: {
    summary: 'The log-odds of preferring the better answer (Rafailov et al. 2023).',
    answers: 'pairs',
    readsSmoothing: true,
  },
  sigmoid_norm: {
    summary: 'The same with the log-probability of each answer divided by its tokens.',
    answers: 'pairs',
    readsSmoothing: true,
  },
  hinge: { summary: 'A margin of 1 between the rewards (SLiC).', answers: 'pairs' },
  ipo: { summary: 'The squared distance of the margin per token from 1 / (2 · beta) (IPO).', answers: 'pairs' },
  robust: {
    summary: 'The sigmoid loss, corrected for a share of pairs (label_smoothing) whose order is wrong.',
    answers: 'pairs',
    readsSmoothing: true,
  },
  kto: {
    summary: 'For judged answers: how far the reward is on its side of a reference point, the divergence from the base model.',
    answers: 'judged',
    hasReferencePoint: true,
  },
  apo_zero_unpaired: {
    summary: 'For judged answers: the same with the reference point at 0, so good answers become likelier and bad ones less likely.',
    answers: 'judged',
  },
} as const satisfies Readonly<Record<string, PreferenceLossEntry>>;

export type PreferenceLoss = keyof typeof entries;
/** The losses for pairs. */
export type PairLossName = { [Name in PreferenceLoss]: (typeof entries)[Name]['answers'] extends 'pairs' ? Name : never }[PreferenceLoss];

export const preferenceLosses: Readonly<Record<PreferenceLoss, PreferenceLossEntry>> = entries;

/** The losses for such samples; the first is the usual one. */
export const lossesOf = (answers: Comparison['answers']): readonly PreferenceLoss[] =>
  namesOf(entries).filter(name => preferenceLosses[name].answers === answers);

/** True if a loss is for pairs. */
export const isPairLoss = (name: string): name is PairLossName => entryOf(preferenceLosses, name)?.answers === 'pairs';
