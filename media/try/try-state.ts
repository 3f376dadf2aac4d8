/** The state of the Try page and how each message of the host changes it. Pure. */

import { counted, percent } from '../../trainer/protocol/text/format.ts';
import {
  EMPTY_TRY,
  type TryAnswer,
  type TryAttached,
  type TryRound,
  type TrySide,
  type TryToPage,
} from '../../trainer/protocol/view/try.ts';
import { verdictOf } from './comparison.ts';

export interface TryState {
  readonly label: string;
  readonly model: string;
  /** The models that answer; empty if none can. */
  readonly sides: readonly TrySide[];
  /** True if samples of the run's data can be scored. */
  readonly comparesAnswers: boolean;
  /** True if questions may have images. */
  readonly readsImages: boolean;
  /** The images of the next question. */
  readonly attached: readonly TryAttached[];
  /** Why the last image was not added. */
  readonly problem?: string | undefined;
  readonly rounds: readonly TryRound[];
}

export const startTry: TryState = EMPTY_TRY;

export function updateTry(state: TryState, message: TryToPage): TryState {
  switch (message.type) {
    case 'view': {
      const { type: _, ...view } = message;
      return view;
    }
    case 'attached':
      return { ...state, attached: message.attached, problem: problemAfter(state, message) };
    case 'round':
      return { ...state, rounds: [...state.rounds, message.round] };
    case 'answer':
      return changed(state, message.answer.side, () => message.answer);
    case 'text':
      return changed(state, message.side, answer => {
        const part = message.part ?? 'text';
        return { ...answer, [part]: (answer[part] ?? '') + message.chunk };
      });
  }
}

/** A reason stays while further images arrive, and goes with the next removal. */
function problemAfter(before: TryState, { attached, problem }: Extract<TryToPage, { type: 'attached' }>): string | undefined {
  return problem ?? (attached.length < before.attached.length ? undefined : before.problem);
}

/** Changes one answer to the latest question. */
function changed(state: TryState, side: TrySide, change: (answer: TryAnswer) => TryAnswer): TryState {
  const last = state.rounds.at(-1);
  if (!last) return state;
  const answers = last.answers.map(answer => (answer.side === side ? change(answer) : answer));
  return { ...state, rounds: [...state.rounds.slice(0, -1), { ...last, answers }] };
}

const BUSY: readonly TryAnswer['state'][] = ['waiting', 'loading', 'writing'];

/** True while an answer to the latest question is incomplete. */
export const isBusy = ({ rounds }: TryState): boolean => rounds.at(-1)?.answers.some(({ state }) => BUSY.includes(state)) ?? false;

export const SIDES: Readonly<Record<TrySide, string>> = { base: 'Base model', tuned: 'Tuned model' };

/** A hub name, or the last part of a path. */
const nameOf = (model: string): string =>
  /^(\/|[A-Za-z]:[\\/])/.test(model) ? (model.split(/[\\/]/).findLast(part => part !== '') ?? model) : model;

/** The line below the title. */
export const subtitleOf = ({ model, sides, comparesAnswers }: TryState): string =>
  sides.length === 0 && comparesAnswers
    ? `${nameOf(model)}, tuned to score answers. Pick a sample of the run's data.`
    : sides.length > 1
      ? `${nameOf(model)}, compared with the tuned model. Prompts are formatted as in training unless you change the options.`
      : nameOf(model);

/** The first sentence of the invitation. A tuned model alone gives labels, because its base has none. */
const askingFor = (sides: readonly TrySide[]): string =>
  sides.length > 1
    ? 'Ask something to compare both models.'
    : sides[0] === 'tuned'
      ? 'Enter a text to see its labels.'
      : 'Ask something to see how the model answers.';

/** The text shown before the first question. */
export const invitationOf = ({ sides, comparesAnswers }: TryState): string =>
  [
    ...(sides.length > 0 || !comparesAnswers ? [askingFor(sides)] : []),
    ...(comparesAnswers ? ["Pick a sample of the run's data to see what the model thinks of its answers before and after tuning."] : []),
  ].join(' ');

/** The sentence announced after a message. */
export function sentenceOf(message: TryToPage): string | undefined {
  if (message.type === 'attached') {
    const { attached, problem = `${counted(attached.length, 'image')} attached.` } = message;
    return problem === '' ? undefined : problem;
  }
  if (message.type !== 'answer') return undefined;
  const { side, state, text, labels, note = '', compared } = message.answer;
  if (compared) return verdictOf(compared);
  if (labels?.[0]) return `${SIDES[side]}: most likely ${labels[0].label}, ${percent(labels[0].probability)}`;
  if (state === 'done') return `${SIDES[side]} answered: ${text}`;
  return state === 'failed' ? `${SIDES[side]} failed: ${note}` : undefined;
}
