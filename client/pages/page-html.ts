/** The HTML of a page: a strict content security policy, one script, one style sheet, and the state that survives a reload. */
import type { PageState } from './page-services.ts';

export interface PageDocument {
  readonly title: string;
  readonly scriptUri: string;
  /** Absent if the page has no style sheet. */
  readonly styleUri?: string;
  /** The editor's name for the origin of the extension's own files. */
  readonly cspSource: string;
  /** A new value for every document. */
  readonly nonce: string;
  readonly state: PageState;
}

/** The type of the message with which the host replaces the state that survives a reload; the page never sees it. */
export const KEEP_STATE = 'rowtune.keepState';

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, char => ESCAPES[char] ?? char);

/** Returns JSON that is safe inside a script element. */
const scriptJson = (value: unknown): string => JSON.stringify(value).replace(/</g, '\\u003c');

/**
 * Keeps the page's own `setState` and `getState` working: their value is stored as `view` next to the host's state, so that the editor's
 * single state per page restores both.
 */
const keepBoth = (state: PageState): string => `
const api = acquireVsCodeApi();
let host = api.getState()?.host ?? ${scriptJson(state)};
let view = api.getState()?.view;
const keep = () => api.setState({ host, view });
keep();
addEventListener('message', event => {
  if (event.data?.type !== ${scriptJson(KEEP_STATE)}) return;
  event.stopImmediatePropagation();
  host = event.data.state;
  keep();
});
globalThis.acquireVsCodeApi = () => ({
  postMessage: (message, transfer) => api.postMessage(message, transfer),
  getState: () => view,
  setState: next => { view = next; keep(); return next; },
});`;

/** The host's part of the state that the editor restores after a reload. */
export function restoredState(kept: unknown): PageState {
  const host = typeof kept === 'object' && kept !== null && 'host' in kept ? kept.host : undefined;
  return typeof host === 'object' ? { ...host } : {};
}

/**
 * Returns a document that loads only the extension's own files and opens no connections: `connect-src` falls back to the closed default.
 */
export function pageHtml({ title, scriptUri, styleUri, cspSource, nonce, state }: PageDocument): string {
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src ${cspSource}`,
    `img-src ${cspSource} data: blob:`,
    `font-src ${cspSource}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  const style = styleUri === undefined ? '' : `<link rel="stylesheet" href="${escapeHtml(styleUri)}">`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escapeHtml(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
${style}
</head>
<body>
<script nonce="${nonce}">${keepBoth(state)}</script>
<script nonce="${nonce}" type="module" src="${escapeHtml(scriptUri)}"></script>
</body>
</html>
`;
}
