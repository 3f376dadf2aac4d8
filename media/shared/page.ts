/**
 * The pattern of a page: one state, one pure function that computes the next state from an event (a message of the host
 * or an action of the user), and views that are drawn from the state.
 */

export interface PageParams<State, Event> {
  readonly start: State;
  /** Pure. Returns the same state if the event changes nothing. */
  readonly update: (state: State, event: Event) => State;
  /** Draws the views, at most once per frame, however many events arrive. */
  readonly draw: (state: State) => void;
  /** Everything that a change does outside the page: messages to the host, kept settings, announcements. */
  readonly react?: (event: Event, before: State, after: State) => void;
}

export interface Page<State, Event> {
  /** The newest state, which the views may not show yet. */
  readonly state: State;
  receive(event: Event): void;
  /** Draws again with the next frame, as after a theme change. */
  redraw(): void;
}

export function createPage<State, Event>({ start, update, draw, react }: PageParams<State, Event>): Page<State, Event> {
  let state = start;
  let isDue = false;
  const redraw = (): void => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      draw(state);
    });
  };
  return {
    get state() {
      return state;
    },
    receive: event => {
      const before = state;
      state = update(before, event);
      react?.(event, before, state);
      redraw();
    },
    redraw,
  };
}
