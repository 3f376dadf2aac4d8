/** The API that VS Code gives a page. */

/** Messages to the host, and state that survives a reload. */
export interface Editor<FromPage, Kept> {
  post(message: FromPage): void;
  /** Undefined the first time, and never trusted: another version may have stored it. */
  kept(): Partial<Kept> | undefined;
  keep(state: Kept): void;
}

declare function acquireVsCodeApi(): {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
};

/** May be called only once, by VS Code's rules. */
export function acquireEditor<FromPage, Kept>(): Editor<FromPage, Kept> {
  const api = acquireVsCodeApi();
  return {
    post: message => api.postMessage(message),
    kept: () => {
      const state = api.getState();
      // The page wrote it itself, by `keep`; an older version may have kept less, hence `Partial`.
      return state !== null && typeof state === 'object' ? (state as Partial<Kept>) : undefined;
    },
    keep: state => api.setState(state),
  };
}
