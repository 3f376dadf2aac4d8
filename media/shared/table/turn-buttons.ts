/** The two buttons that turn the pages of a list. */
import { element } from '../element.ts';

export interface TurnButtons {
  readonly elements: readonly HTMLElement[];
  /** Enables each button if there is a page to turn to. */
  update(has: { readonly earlier: boolean; readonly later: boolean }): void;
}

/** Creates the buttons. A button without a page to turn to keeps the focus, which keyboard users would otherwise lose at the last page. */
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
