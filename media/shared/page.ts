/**
 * The pattern of a page: one state, one pure function that computes the next state from an event (a message of the host or an action of the
 * user), and views that are drawn from the state.
 */

export interface PageParams<State, Event> {
  readonly start: State;
  /** Returns the next state, or the same one if the event changes nothing. Pure. */
  readonly update: (state: State, event: Event) => State;
  /** Draws the views; called at most once per frame, regardless of the number of events. */
  readonly draw: (state: State) => void;
  /** Performs the effects of a change outside the page: messages to the host, saved settings, announcements. */
  readonly react?: (event: Event, before: State, after: State) => void;
}

export interface Page<State, Event> {
  /** The newest state, which may not be drawn yet. */
  readonly state: State;
  receive(event: Event): void;
  /** Draws again in the next frame, for example after a theme change. */
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
