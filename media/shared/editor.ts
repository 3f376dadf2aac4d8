/** The API that VS Code offers to a page. */

/** Sends messages to the host and keeps state that survives a reload. */
export interface Editor<FromPage, Kept> {
  post(message: FromPage): void;
  /** Returns the saved state, undefined the first time. It is not validated, because another version may have stored it. */
  kept(): Partial<Kept> | undefined;
  keep(state: Kept): void;
}

declare function acquireVsCodeApi(): {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
};

/** Acquires the API; VS Code allows this only once per page. */
export function acquireEditor<FromPage, Kept>(): Editor<FromPage, Kept> {
  const api = acquireVsCodeApi();
  return {
    post: message => api.postMessage(message),
    kept: () => {
      const state = api.getState();
      // The page stored this value itself with `keep`; an older version may have stored fewer fields, hence `Partial`.
      return state !== null && typeof state === 'object' ? (state as Partial<Kept>) : undefined;
    },
    keep: state => api.setState(state),
  };
}
