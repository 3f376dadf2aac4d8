/** A page's host without an editor: messages to the page and calls of the editor are recorded. */
import { JobStore } from '../../../client/daemon/job-store.ts';
import type { ConnectPage, PageHost, PageServices, PageState } from '../../../client/pages/page-services.ts';
import type { DaemonClient } from '../../../trainer/rpc/connection/connect.ts';

export interface TestServices extends PageServices {
  /** Calls of the editor: the name and the argument. */
  readonly calls: (readonly [string, unknown])[];
  readonly store: JobStore;
  /** Follows a connection from now on, like the client after reconnecting. */
  follow(client: DaemonClient): Promise<void>;
}

/** Creates services without a daemon until a connection is followed. */
export function testServices(): TestServices {
  const calls: (readonly [string, unknown])[] = [];
  const store = new JobStore();
  let current: DaemonClient | undefined;
  const note =
    (name: string) =>
    (value: unknown): void =>
      void calls.push([name, value]);
  return {
    calls,
    store,
    follow: async client => {
      current = client;
      client.on('jobChanged', record => store.put(record));
      client.on('jobEvent', event => store.event(event));
      store.replaceAll(await client.request('listJobs', {}));
    },
    daemon: async () => {
      if (!current) throw new Error('no daemon runs in this test');
      return current;
    },
    isRemote: () => false,
    jobs: () => store.list(),
    onJobEvent: listener => store.onEvent(listener),
    onJobChanged: listener => store.onChanged(listener),
    saveFile: async file => {
      calls.push(['saveFile', file]);
      return undefined;
    },
    openFile: async (file, line) => note('openFile')(line === undefined ? file : `${file}:${line}`),
    recipeSource: async uri => ({ text: '', fileName: uri, baseDir: '/' }),
    editRecipe: async uri => note('editRecipe')(uri),
    openPage: async page => note('openPage')(page),
    command: async (name, run) => note(name)(run),
    showError: note('showError'),
    setting: () => '',
    updateIntervalMs: () => 20,
    log: { info: note('info'), warn: note('warn'), error: note('error') },
  };
}

export interface TestPage<ToPage> extends PageHost {
  readonly posted: ToPage[];
  readonly titles: string[];
  readonly kept: PageState[];
}

/** Connects a host to a page that only records what it receives. */
export function openTestPage<ToPage>(
  connect: ConnectPage<ToPage>,
  { state, services, onPost = () => undefined }: { state: PageState; services: PageServices; onPost?: (message: ToPage) => void },
): TestPage<ToPage> {
  const posted: ToPage[] = [];
  const titles: string[] = [];
  const kept: PageState[] = [];
  const host = connect({
    state,
    services,
    // As in the editor, only plain data arrives.
    post: message => {
      const arrived = structuredClone(message);
      posted.push(arrived);
      onPost(arrived);
    },
    keep: next => void kept.push(next),
    setTitle: title => void titles.push(title),
  });
  return { posted, titles, kept, receive: message => host.receive(message), dispose: () => host.dispose() };
}
