/** The services for the host side of a page: the daemon, the editor's files and pages, and messages to the page. Does not import vscode. */

import type { JobEvent, JobRecord, RecipeSource } from '../../trainer/protocol/messages/rpc-messages.ts';
import type { TextChange } from '../../trainer/protocol/text/text-change.ts';
import type { DaemonClient } from '../../trainer/rpc/connection/connect.ts';
import type { CommandName } from '../commands/command-ids.ts';

/** A connection to the daemon; its requests reject with a `DaemonError` (code, message, hint). */
export type DaemonLink = DaemonClient;

/** The kinds of pages; `media/<kind>.ts` draws each and `client/pages/<kind>-host.ts` serves it. */
export type PageKind = 'heatmap' | 'run' | 'compare' | 'try' | 'data';

/** The state that restores a page after a reload: small plain JSON; never the data of a run, only its location. */
export type PageState = Readonly<Record<string, unknown>>;

export interface PageLog {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

export interface PageServices {
  /**
   * Returns the current connection; starts a daemon if none runs, and reopens a lost connection. Call this for every use instead of keeping
   * the result.
   * @throws DaemonError with a hint for the user
   */
  daemon(): Promise<DaemonLink>;
  /** True if the daemon and its folders are on another machine. */
  isRemote(): boolean;
  /** The jobs known now, without a request to the daemon. */
  jobs(): readonly JobRecord[];
  /** Subscribes to the job events of all connections, without gaps when reconnecting. Returns the unsubscribe function. */
  onJobEvent(listener: (event: JobEvent) => void): () => void;
  /** Subscribes to changes of job records, and to all records after a reconnection. Returns the unsubscribe function. */
  onJobChanged(listener: (job: JobRecord) => void): () => void;
  /** Asks the user for a path and writes the file. Returns the path, or undefined if the user canceled. */
  saveFile(file: { readonly suggestedName: string; readonly content: string | Uint8Array }): Promise<string | undefined>;
  /** Opens a file in a second editor column. @param line counted from 1 */
  openFile(path: string, line?: number): Promise<void>;
  /** The recipe at an address, as it is in the editor, saved or unsaved. */
  recipeSource(uri: string): Promise<RecipeSource>;
  /** Changes the text of a recipe in its editor, so that the user can undo it. */
  editRecipe(uri: string, edit: (text: string) => TextChange | undefined): Promise<void>;
  /** Opens another page, or shows the one with the same kind and state. */
  openPage(page: { readonly kind: PageKind; readonly state: PageState }): Promise<void>;
  /** Runs a command of the extension, like the context menu of a run. */
  command(name: CommandName, run: { readonly runDir: string }): Promise<unknown>;
  /** Shows an error with its hint, and a button for the step in the hint, if any. */
  showError(error: unknown): void;
  /** The current value of a setting `rowtune.<name>` that pages may read. */
  setting(name: PageSetting): string;
  /** The interval between two patches of a page in ms, from the settings. */
  updateIntervalMs(): number;
  readonly log: PageLog;
}

export type PageSetting = 'heatmap.colorMap';

/** The arguments of a `connect<Page>` function. */
export interface PageConnection<ToPage> {
  /** The state as `openPage` or a reload passed it, not validated. */
  readonly state: PageState;
  readonly services: PageServices;
  /** Sends a message to the page; does nothing once the page is closed. */
  readonly post: (message: ToPage) => void;
  /** Replaces the state that restores the page after a reload. */
  readonly keep: (state: PageState) => void;
  /** Sets the title of the tab. */
  readonly setTitle: (title: string) => void;
}

export interface PageHost {
  /** Handles a message of the page, not validated. */
  receive(message: unknown): void;
  dispose(): void;
}

export type ConnectPage<ToPage> = (connection: PageConnection<ToPage>) => PageHost;
