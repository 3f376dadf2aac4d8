/** Host of the Compare page: one feed per run; each patch says which run it belongs to. */
import path from 'node:path';
import { z } from 'zod';
import { distinctNames } from '../../trainer/protocol/run/run-names.ts';
import { type CompareFromPage, type CompareToPage, MAX_COMPARED } from '../../trainer/protocol/view/compare.ts';
import type { ConnectPage } from './page-services.ts';
import { RunFeed } from './run-feed.ts';
import { savedFile } from './run-host.ts';

const stateSchema = z.object({ runDirs: z.array(z.string().refine(path.isAbsolute)) });

const fromPage: z.ZodType<CompareFromPage> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({ type: z.literal('open'), runDir: z.string() }),
  z.object({ type: z.literal('remove'), runDir: z.string() }),
  z.object(savedFile),
]);

/** Connects the page. Its `state` is `{ runDirs }` with absolute paths; any other state shows an empty page. */
export const connectCompare: ConnectPage<CompareToPage> = ({ state, services, post, keep, setTitle }) => {
  const feeds = new Map<string, RunFeed>();
  const asked = new Set(stateSchema.safeParse(state).data?.runDirs ?? []);
  for (const runDir of [...asked].slice(0, MAX_COMPARED))
    feeds.set(runDir, new RunFeed({ runDir, services, withLog: false, onPatch: patch => post({ type: 'patch', runDir, patch }) }));

  const tell = (): void => {
    const names = [...feeds.keys()];
    setTitle(names.length > 0 ? `Compare: ${[...distinctNames(names).values()].join(', ')}` : 'Compare');
    post({ type: 'runs', runDirs: names });
  };

  async function receive(message: CompareFromPage): Promise<unknown> {
    switch (message.type) {
      case 'ready':
        tell();
        if (asked.size > MAX_COMPARED)
          post({
            type: 'notice',
            level: 'info',
            message: `Comparing the first ${MAX_COMPARED} of ${asked.size} runs: more curves can't be told apart.`,
          });
        for (const feed of feeds.values()) feed.begin();
        return;
      case 'open':
        return feeds.has(message.runDir) ? services.openPage({ kind: 'run', state: { runDir: message.runDir } }) : undefined;
      case 'remove':
        feeds.get(message.runDir)?.dispose();
        feeds.delete(message.runDir);
        keep({ runDirs: [...feeds.keys()] });
        return tell();
      case 'save':
        return services.saveFile(message);
    }
  }

  return {
    receive: message => {
      const checked = fromPage.safeParse(message);
      if (checked.success) receive(checked.data).catch((error: unknown) => services.showError(error));
      else services.log.warn(`the Compare page sent an invalid message: ${checked.error.message}`);
    },
    dispose: () => {
      for (const feed of feeds.values()) feed.dispose();
    },
  };
};
