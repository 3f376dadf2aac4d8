/** The one function that VS Code gives a page, and what it is used for. */

/** What a page sends, and what it keeps over a reload. */
export interface Editor<FromPage, Kept> {
  post(message: FromPage): void;
  /** Undefined on the first time, and never trusted: another version may have kept it. */
  kept(): Partial<Kept> | undefined;
  keep(state: Kept): void;
}

declare function acquireVsCodeApi(): {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
};

/** May be called once: VS Code allows no second time. */
export function acquireEditor<FromPage, Kept>(): Editor<FromPage, Kept> {
  const api = acquireVsCodeApi();
  return {
    post: message => api.postMessage(message),
    kept: () => {
      const state = api.getState();
      return state !== null && typeof state === 'object' ? (state as Partial<Kept>) : undefined;
    },
    keep: state => api.setState(state),
  };
}
