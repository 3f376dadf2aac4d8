/** Host of the heatmap page: sends the sources, scores on request, and changes while scores are being computed. */
import type { HeatmapFromPage, HeatmapSource, HeatmapState, HeatmapToPage, ScoreSetRef } from '../../trainer/protocol/view/heatmap.ts';
import { fromPageSchema, MAX_SOURCES, stateSchema } from './heatmap-messages.ts';
import type { ReadSource } from './heatmap-source.ts';
import type { ConnectPage, PageHost, PageServices } from './page-services.ts';
import { createScoreSender } from './score-sender.ts';
import { createSourceReader } from './source-reader.ts';

/** Status text of a job that ended; after success, the page shows the scores instead. */
const END_WORDS: Readonly<Record<string, string>> = {
  failed: 'The job failed.',
  stopped: 'The job was stopped.',
  aborted: 'The job was aborted.',
};

export const connectHeatmap: ConnectPage<HeatmapToPage> = ({ state, services, post, keep, setTitle }): PageHost => {
  let isOpen = true;
  const queue = createQueue(services, () => isOpen);
  const feed = createFeed(services, post, setTitle, () => isOpen);
  feed.sources = stateSchema.safeParse(state).data?.sources ?? [];

  function change(next: readonly HeatmapSource[]): void {
    feed.sources = next;
    keep({ kind: 'heatmap', sources: next } satisfies HeatmapState & Record<string, unknown>);
    queue.add(feed.sendSources);
  }

  async function save(file: { readonly suggestedName: string; readonly content: string | Uint8Array }): Promise<void> {
    const path = await services.saveFile(file);
    if (path !== undefined) post({ type: 'saved', path });
  }

  function handle(message: HeatmapFromPage): void {
    const { sources } = feed;
    switch (message.type) {
      case 'ready':
        // A reloaded page has no data.
        feed.reset();
        queue.add(feed.sendSources);
        break;
      case 'want':
        for (const set of feed.want(message.sets)) queue.add(() => feed.sendScores(set));
        break;
      case 'add-source':
        if (sources.length < MAX_SOURCES && sources.every(({ path }) => path !== message.source.path)) change([...sources, message.source]);
        break;
      case 'remove-source':
        feed.forget(message.path);
        change(sources.filter(({ path }) => path !== message.path));
        break;
      case 'open-run':
        queue.add(() => services.openPage({ kind: 'run', state: { runDir: message.path } }));
        break;
      case 'save':
        queue.add(() => save(message));
    }
  }

  const stopJobs = followJobs(services, feed, post, path => queue.add(() => feed.readAnew(path)));
  let isLooking = false;
  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    queue.add(() => feed.look().finally(() => (isLooking = false)));
  }, services.updateIntervalMs());
  return {
    receive(message) {
      const { data, error } = fromPageSchema.safeParse(message);
      if (data) handle(data);
      else services.log.warn(`the heatmap page sent an invalid message: ${error.message}`);
    },
    dispose() {
      isOpen = false;
      clearInterval(timer);
      stopJobs();
      // Waits until the copy is no longer being read.
      queue.end(feed.dispose);
    },
  };
};

/** Runs one task at a time, so that messages arrive in order. */
function createQueue(services: PageServices, isOpen: () => boolean) {
  let work = Promise.resolve();
  return {
    add: (task: () => Promise<void>): void => {
      work = work.then(async () => {
        if (!isOpen()) return;
        await task().catch((error: unknown) => services.showError(error));
      });
    },
    end: (task: () => void): void => void work.then(task),
  };
}

type Feed = ReturnType<typeof createFeed>;

/** Holds the sources of the page as they were last read, and sends the messages that update it. */
function createFeed(
  services: PageServices,
  post: (message: HeatmapToPage) => void,
  setTitle: (title: string) => void,
  isOpen: () => boolean,
) {
  let sources: readonly HeatmapSource[] = [];
  const reader = createSourceReader(services);
  const sender = createScoreSender(post, isOpen);
  /** Each source as it was last read, with the version of its file. */
  const known = new Map<string, ReadSource>();
  const sendScores = async (set: ScoreSetRef): Promise<void> => {
    const file = known.get(set.path)?.place?.file;
    if (file !== undefined) await sender.send(set, file);
  };
  /** Sends the page a source and the scores of its requested sets, because the page requests each set only once. */
  const take = async ({ path }: HeatmapSource, now: ReadSource): Promise<void> => {
    known.set(path, now);
    post({ type: 'source', source: now.info });
    for (const set of sender.wanted) if (set.path === path) await sendScores(set);
  };
  return {
    get sources(): readonly HeatmapSource[] {
      return sources;
    },
    set sources(next) {
      sources = next;
    },
    want: sender.want,
    sendScores,
    async sendSources(): Promise<void> {
      for (const source of sources) if (!known.has(source.path)) known.set(source.path, await reader.read(source));
      const infos = sources.flatMap(({ path }) => known.get(path)?.info ?? []);
      setTitle(infos.length > 0 ? `Heatmap: ${infos.map(({ label }) => label).join(', ')}` : 'Heatmap');
      const candidates = await reader.candidates(sources);
      post({ type: 'sources', sources: infos, candidates, colorMap: services.setting('heatmap.colorMap') });
    },
    /** Sends everything that changed since the last look. */
    async look(): Promise<void> {
      for (const source of sources) {
        const before = known.get(source.path);
        // The page does not know this source yet, so the list of sources goes first.
        if (!before) continue;
        const place = await reader.place(source);
        // For a moment there are neither partial nor complete scores.
        if (!place || place.version === before.place?.version) continue;
        const now = await reader.read(source);
        if (now.place) await take(source, now);
      }
    },
    /** Reads a source again after its job ended: either its scores exist now, or nothing more will come. */
    async readAnew(path: string): Promise<void> {
      const source = sources.find(each => each.path === path);
      if (source !== undefined && known.get(path)?.place === undefined) await take(source, await reader.read(source));
    },
    forget: (path: string): void => void known.delete(path),
    reset(): void {
      sender.reset();
      known.clear();
    },
    dispose: reader.dispose,
  };
}

/** Shows the progress of the jobs that compute these sources. Returns a function that stops it. */
function followJobs(services: PageServices, feed: Feed, post: (message: HeatmapToPage) => void, onEnd: (path: string) => void): () => void {
  /** The source that a job works on. */
  const sourceOf = (jobId: string): string | undefined => {
    const runDir = services.jobs().find(({ id }) => id === jobId)?.runDir;
    return feed.sources.find(({ jobId: own, path }) => own === jobId || path === runDir)?.path;
  };
  return services.onJobEvent(({ jobId, event }) => {
    const path = sourceOf(jobId);
    if (path === undefined) return;
    if (event.type === 'phase') post({ type: 'progress', path, message: event.name === 'importance' ? event.message : '' });
    if (event.type === 'progress' && event.phase === 'importance') {
      const { done, total, unit, secondsLeft } = event;
      post({ type: 'progress', path, progress: { done, total, unit, secondsLeft }, message: event.message ?? 'scoring' });
    }
    if (event.type === 'state' && ['succeeded', 'failed', 'stopped', 'aborted'].includes(event.state)) {
      post({ type: 'progress', path, message: END_WORDS[event.state] ?? '' });
      onEnd(path);
    }
  });
}
