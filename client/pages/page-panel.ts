/** The editor's side of a page: creates the webview, connects it to its host, and restores it after a reload. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type Disposable, TabInputWebview, Uri, ViewColumn, type WebviewPanel, window } from 'vscode';
import { KEEP_STATE, pageHtml, restoredState } from './page-html.ts';
import type { ConnectPage, PageKind, PageServices, PageState } from './page-services.ts';

export interface PageDefinition {
  readonly kind: PageKind;
  readonly title: string;
  /** A file in media/ for the tab's icon. */
  readonly icon: string;
  /** Identifies a page among others of its kind; defaults to its whole state. */
  readonly identity?: (state: PageState) => unknown;
  /** Returns the folders of the runs that the page shows. */
  readonly runsOf: (state: PageState) => readonly unknown[];
  /** Loads the host when the first page of this kind opens. This file only forwards messages. */
  readonly connect: () => Promise<ConnectPage<unknown>>;
}

export interface Pages extends Disposable {
  open(kind: PageKind, state: PageState): Promise<void>;
  /** Closes pages that show only deleted runs. */
  runsDeleted(runDirs: readonly string[]): void;
}

interface OpenPage {
  readonly panel: WebviewPanel;
  readonly definition: PageDefinition;
  /** The state that the page was opened with, or the last one it kept. */
  state: PageState;
}

/** The editor's name for a kind of page. */
const viewType = (kind: PageKind): string => `rowtune.${kind}`;

/**
 * @param extensionUri the extension's folder
 * @param services called when the first page opens
 */
export function createPages(extensionUri: Uri, definitions: readonly PageDefinition[], services: () => PageServices): Pages {
  const open = new Set<OpenPage>();
  const fill = (panel: WebviewPanel, definition: PageDefinition, state: PageState, onTitle: (title: string) => void): Promise<void> => {
    const page: OpenPage = { panel, definition, state };
    open.add(page);
    panel.onDidDispose(() => open.delete(page));
    return connectPanel({ page, extensionUri, services, onTitle });
  };

  const serializers = definitions.map(definition =>
    window.registerWebviewPanelSerializer(viewType(definition.kind), {
      deserializeWebviewPanel: (panel, kept: unknown) => fill(panel, definition, restoredState(kept), () => undefined),
    }),
  );

  return {
    async open(kind, state) {
      const definition = definitions.find(each => each.kind === kind);
      if (definition === undefined) throw new Error(`no page of kind ${kind}`);
      const key = keyOf(definition, state);
      const there = [...open].find(page => page.definition === definition && keyOf(definition, page.state) === key);
      if (there) return there.panel.reveal();
      const closeAsleep = findUnrestoredTab(kind, open);
      const options = { enableScripts: true, retainContextWhenHidden: false, enableFindWidget: true };
      await fill(window.createWebviewPanel(viewType(kind), definition.title, ViewColumn.Active, options), definition, state, closeAsleep);
    },
    runsDeleted(runDirs) {
      const deleted = new Set<unknown>(runDirs);
      for (const { panel, definition, state } of [...open]) {
        const shown = definition.runsOf(state);
        if (shown.length > 0 && shown.every(runDir => deleted.has(runDir))) panel.dispose();
      }
    },
    dispose() {
      for (const serializer of serializers) serializer.dispose();
      for (const { panel } of open) panel.dispose();
    },
  };
}

interface ConnectParams {
  readonly page: OpenPage;
  readonly extensionUri: Uri;
  services(): PageServices;
  onTitle(title: string): void;
}

/** Fills a panel with its page, and connects it to its host as soon as the host is loaded. */
async function connectPanel({ page, extensionUri, services, onTitle }: ConnectParams): Promise<void> {
  const { panel, definition, state } = page;
  let isOpen = true;
  const early: unknown[] = [];
  let receive = (message: unknown): void => void early.push(message);
  panel.webview.onDidReceiveMessage((message: unknown) => receive(message));
  const disposed = new Promise<void>(resolve => panel.onDidDispose(resolve));
  panel.onDidDispose(() => {
    isOpen = false;
  });
  showDocument(panel, definition, extensionUri, state);
  const post = (message: unknown): void => {
    if (isOpen) void panel.webview.postMessage(message);
  };
  const connect = await definition.connect();
  if (!isOpen) return;
  const host = connect({
    state,
    services: services(),
    post,
    keep: next => {
      page.state = next;
      post({ type: KEEP_STATE, state: next });
    },
    setTitle: text => {
      if (!isOpen) return;
      panel.title = text;
      onTitle(text);
    },
  });
  void disposed.then(() => host.dispose());
  receive = message => host.receive(message);
  for (const message of early) host.receive(message);
}

/** Shows the document of a page, which may load only the extension's own files. */
function showDocument(panel: WebviewPanel, { kind, title, icon }: PageDefinition, extensionUri: Uri, state: PageState): void {
  const media = Uri.joinPath(extensionUri, 'dist', 'media');
  const style = Uri.joinPath(media, `${kind}.css`);
  panel.iconPath = Uri.joinPath(extensionUri, 'media', icon);
  panel.webview.options = { enableScripts: true, localResourceRoots: [media] };
  panel.webview.html = pageHtml({
    title,
    scriptUri: String(panel.webview.asWebviewUri(Uri.joinPath(media, `${kind}.js`))),
    styleUri: existsSync(style.fsPath) ? String(panel.webview.asWebviewUri(style)) : undefined,
    cspSource: panel.webview.cspSource,
    nonce: randomBytes(16).toString('base64url'),
    state,
  });
}

/**
 * Finds the tab of a page that the editor has not restored yet, which happens when its tab is selected. If a command opens the page first,
 * the old tab is closed, unless two tabs have its title, by which alone it is recognized.
 * @returns a function that closes the tab once the title of the new page is known
 */
function findUnrestoredTab(kind: PageKind, open: ReadonlySet<OpenPage>): (title: string) => void {
  const isOfKind = (input: unknown): boolean => input instanceof TabInputWebview && input.viewType.endsWith(viewType(kind));
  const tabs = window.tabGroups.all.flatMap(group => group.tabs).filter(({ input }) => isOfKind(input));
  const awake = new Set([...open].flatMap(page => (page.definition.kind === kind ? [page.panel.title] : [])));
  return title => {
    // Pages that were restored in the meantime report their titles later.
    const [asleep, another] = tabs.splice(0).filter(({ label }) => label === title);
    if (asleep !== undefined && another === undefined && !awake.has(title)) void window.tabGroups.close(asleep, true);
  };
}

const keyOf = ({ identity }: PageDefinition, state: PageState): string => JSON.stringify(identity?.(state) ?? state);
