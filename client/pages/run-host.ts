/** Host of the run page: sends the state of the run's folder and of the daemon, and handles the buttons. */
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { z } from 'zod';
import { isOnCluster } from '../../trainer/protocol/run/cluster.ts';
import type { RunAction, RunFromPage, RunToPage } from '../../trainer/protocol/view/run.ts';
import type { ConnectPage } from './page-services.ts';
import { RunFeed } from './run-feed.ts';

const stateSchema = z.object({ runDir: z.string().refine(path.isAbsolute) });

/** Maximum size of a saved file, in characters: a table of 100,000 lines takes a tenth of this. */
const MAX_SAVED_CHARACTERS = 64 * 2 ** 20;
export const savedFile = {
  type: z.literal('save'),
  suggestedName: z.string().regex(/^[^/\\]{1,200}$/),
  content: z.string().max(MAX_SAVED_CHARACTERS),
};

const fromPage: z.ZodType<RunFromPage> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({
    type: z.literal('action'),
    action: z.enum(['stop', 'abort', 'resume', 'heatmap', 'try', 'export', 'folder', 'recipe', 'log', 'jobLog']),
  }),
  z.object(savedFile),
]);

/** Connects the page. Its `state` is `{ runDir }`, an absolute path. */
export const connectRun: ConnectPage<RunToPage> = ({ state, services, post, setTitle }) => {
  const runDir = stateSchema.safeParse(state).data?.runDir;
  if (runDir === undefined) {
    return { receive: () => post({ type: 'missing', runDir: '' }), dispose: () => undefined };
  }
  const feed = new RunFeed({
    runDir,
    services,
    withLog: true,
    onPatch: post,
    // Local trouble is not shown: a file that is being replaced is read at the next look. A remote daemon may be unreachable for long.
    onTrouble: message => services.isRemote() && post({ type: 'notice', level: 'error', message }),
  });
  setTitle(`Run: ${path.basename(runDir)}`);
  const endJob = async (name: 'stopJob' | 'abortJob'): Promise<void> => {
    if (isOnCluster(feed.place)) {
      await (await services.daemon()).request('stopOnCluster', { runDir, save: name === 'stopJob' });
      return;
    }
    const job = feed.currentJob;
    const message = 'This run was started in a terminal: press Ctrl-C there, once to stop and save, twice to abort.';
    if (!job) return post({ type: 'notice', level: 'error', message });
    await (await services.daemon()).request(name, { id: job.id });
  };
  const actions: Readonly<Record<RunAction, () => Promise<unknown>>> = {
    stop: () => endJob('stopJob'),
    abort: () => endJob('abortJob'),
    resume: async () => (await services.daemon()).request('resume', { id: randomUUID(), runDir }),
    heatmap: () => services.command('openHeatmap', { runDir }),
    try: () => services.command('tryModel', { runDir }),
    export: () => services.command('exportRun', { runDir }),
    folder: () => services.command('openRunFolder', { runDir }),
    recipe: () => services.command('openRunRecipe', { runDir }),
    log: () => services.command('openRunLog', { runDir }),
    jobLog: openJobLog,
  };

  /** Opens the log of the cluster job. */
  async function openJobLog(): Promise<void> {
    const log = feed.place?.log;
    if (log === undefined) return;
    if (services.isRemote()) return post({ type: 'notice', level: 'info', message: `The log is on the machine of the daemon: ${log}` });
    await services.openFile(log);
  }

  async function receive(message: RunFromPage): Promise<unknown> {
    switch (message.type) {
      case 'ready':
        return feed.begin();
      case 'action':
        return actions[message.action]();
      case 'save':
        return services.saveFile(message);
    }
  }

  return {
    receive: message => {
      const checked = fromPage.safeParse(message);
      if (checked.success) receive(checked.data).catch((error: unknown) => services.showError(error));
      else services.log.warn(`the page of ${runDir} sent an invalid message: ${checked.error.message}`);
    },
    dispose: () => feed.dispose(),
  };
};
