/** What the host side of a page is given: the daemon, the editor's files and pages, and a way to its page. No vscode here. */
import type { JobEvent, JobRecord } from '../../trainer/protocol/rpc-messages.ts';
import type { DaemonClient } from '../../trainer/rpc/connect.ts';
import type { CommandName } from '../commands/command-ids.ts';

/** A connection to the daemon; its requests reject with a `DaemonError` (code, message, hint). */
export type DaemonLink = DaemonClient;

/** The pages there are; each is drawn by `media/<kind>.ts` and served by `client/pages/<kind>-host.ts`. */
export type PageKind = 'heatmap' | 'run' | 'compare' | 'try';

/** What a page needs to be drawn again after a reload: plain JSON, and small; never data of a run, only where it lies. */
export type PageState = Readonly<Record<string, unknown>>;

export interface PageLog {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

export interface PageServices {
  /**
   * The connection of now: starts a daemon where none runs, connects again where one was lost. Ask anew for every use instead of keeping it.
   * @throws DaemonError with a hint for the user
   */
  daemon(): Promise<DaemonLink>;
  /** Whether the daemon is one of another machine, and its folders with it. */
  isRemote(): boolean;
  /** The jobs that are known now, without asking a daemon for them. */
  jobs(): readonly JobRecord[];
  /** Everything that jobs say, of whichever connection, without gaps over a reconnection. Returns the end of listening. */
  onJobEvent(listener: (event: JobEvent) => void): () => void;
  /** A job's record, whenever it changes, and all of them after a reconnection. Returns the end of listening. */
  onJobChanged(listener: (job: JobRecord) => void): () => void;
  /** Asks where to, and writes. Gives the path, or undefined where the user thought better of it. */
  saveFile(file: { readonly suggestedName: string; readonly content: string | Uint8Array }): Promise<string | undefined>;
  /** Opens it in an editor beside. */
  openFile(path: string): Promise<void>;
  /** Opens another page, or shows the one that has the same kind and state. */
  openPage(page: { readonly kind: PageKind; readonly state: PageState }): Promise<void>;
  /** Runs a command of the extension as the menu of a run does. */
  command(name: CommandName, run: { readonly runDir: string }): Promise<unknown>;
  /** Shows an error with its hint, and a button that does what the hint says where there is one. */
  showError(error: unknown): void;
  /** A setting `rowtune.<name>` that pages may read, as it is now. */
  setting(name: PageSetting): string;
  /** Between two patches of a page, ms; as the settings have it now. */
  updateIntervalMs(): number;
  readonly log: PageLog;
}

export type PageSetting = 'heatmap.colorMap';

/** What a `connect<Page>` function takes. */
export interface PageConnection<ToPage> {
  /** As `openPage` or the reload gave it: not yet checked. */
  readonly state: PageState;
  readonly services: PageServices;
  /** Sends a message to the page; after the page is closed it does nothing. */
  readonly post: (message: ToPage) => void;
  /** Replaces what the page is drawn from after a reload. */
  readonly keep: (state: PageState) => void;
  /** The text on the tab. */
  readonly setTitle: (title: string) => void;
}

export interface PageHost {
  /** A message of the page: not yet checked. */
  receive(message: unknown): void;
  dispose(): void;
}

export type ConnectPage<ToPage> = (connection: PageConnection<ToPage>) => PageHost;
