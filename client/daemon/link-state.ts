/** The state of the connection to the daemon, as the status bar and the views show it. */

export type LinkState =
  | { readonly kind: 'off' }
  | { readonly kind: 'starting' }
  | { readonly kind: 'connected'; readonly pid: number; readonly version: string; readonly isRemote: boolean }
  | { readonly kind: 'reconnecting'; readonly reason: string; readonly isRemote: boolean }
  | { readonly kind: 'failed'; readonly error: unknown };
