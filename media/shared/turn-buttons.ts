/** The two buttons that turn the pages of a list. */
import { element } from './element.ts';

export interface TurnButtons {
  readonly elements: readonly HTMLElement[];
  /** Whether there is a page to turn to. */
  update(has: { readonly earlier: boolean; readonly later: boolean }): void;
}

/** Creates them. One without a page to turn to keeps the focus: who turns pages by keyboard would lose it at the last one. */
export function createTurnButtons([earlierLabel, laterLabel]: readonly [string, string], turn: (by: -1 | 1) => void): TurnButtons {
  const create = (label: string, by: -1 | 1): HTMLElement => {
    const onclick = (): void => {
      if (made.ariaDisabled !== 'true') turn(by);
    };
    const made = element('button', { type: 'button', class: 'secondary', onclick }, label);
    return made;
  };
  const earlier = create(earlierLabel, -1);
  const later = create(laterLabel, 1);
  return {
    elements: [earlier, later],
    update: has => {
      earlier.ariaDisabled = String(!has.earlier);
      later.ariaDisabled = String(!has.later);
    },
  };
}
