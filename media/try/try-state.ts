/** The state of the Try page and how each message of the host changes it. Pure. */
import type { TryAnswer, TryRound, TrySide, TryToPage } from '../../trainer/protocol/view/try.ts';

export interface TryState {
  readonly label: string;
  readonly model: string;
  /** Empty if there is no model to ask. */
  readonly sides: readonly TrySide[];
  readonly rounds: readonly TryRound[];
}

export const startTry: TryState = { label: '', model: '', sides: [], rounds: [] };

export function updateTry(state: TryState, message: TryToPage): TryState {
  switch (message.type) {
    case 'view': {
      const { label, model, sides, rounds } = message;
      return { label, model, sides, rounds };
    }
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

/** Changes one answer to the last question. */
function changed(state: TryState, side: TrySide, change: (answer: TryAnswer) => TryAnswer): TryState {
  const last = state.rounds.at(-1);
  if (!last) return state;
  const answers = last.answers.map(answer => (answer.side === side ? change(answer) : answer));
  return { ...state, rounds: [...state.rounds.slice(0, -1), { ...last, answers }] };
}

const BUSY: readonly TryAnswer['state'][] = ['waiting', 'loading', 'writing'];

/** Whether an answer to the last question is on its way. */
export const isBusy = ({ rounds }: TryState): boolean => rounds.at(-1)?.answers.some(({ state }) => BUSY.includes(state)) ?? false;

export const SIDES: Readonly<Record<TrySide, string>> = { base: 'Base model', tuned: 'Tuned model' };

/** A name on the hub, or the last part of a path. */
const nameOf = (model: string): string =>
  /^(\/|[A-Za-z]:[\\/])/.test(model) ? (model.split(/[\\/]/).findLast(part => part !== '') ?? model) : model;

/** The line below the title. */
export const subtitleOf = ({ model, sides }: TryState): string =>
  sides.length > 1
    ? `${nameOf(model)}, compared with the tuned model. Prompts are formatted as in training unless you change the options.`
    : nameOf(model);

/** The sentence that is announced after a message. */
export function sentenceOf(message: TryToPage): string | undefined {
  if (message.type !== 'answer') return undefined;
  const { side, state, text, note = '' } = message.answer;
  if (state === 'done') return `${SIDES[side]} answered: ${text}`;
  return state === 'failed' ? `${SIDES[side]} failed: ${note}` : undefined;
}
