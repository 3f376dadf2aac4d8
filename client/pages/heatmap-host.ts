/** Host of the heatmap page: sends the sources, then scores on request, and sends changes while scores are computed. */
import { dirname } from 'node:path';
import { z } from 'zod';
import { choosesByScores } from '../../trainer/catalog/methods.ts';
import { openScoreSets } from '../../trainer/importance/score-sets.ts';
import type {
  HeatmapFromPage,
  HeatmapSource,
  HeatmapState,
  HeatmapToPage,
  ModuleScores,
  ScoreSetRef,
} from '../../trainer/protocol/view/heatmap.ts';
import { hasEnded } from '../daemon/job-store.ts';
import { createFarScores } from './far-scores.ts';
import { candidatesBeside, placeOfScores, type ReadSource, readSource } from './heatmap-source.ts';
import type { ConnectPage, PageHost } from './page-services.ts';

/**
 * Bytes of scores per message: large enough to be efficient, small enough that the page draws while the rest arrives.
 */
const MESSAGE_BYTES = 4 * 2 ** 20;
/** More sources can't be told apart in a list. */
const MAX_SOURCES = 16;
/** A picture or table of the largest model takes a tenth of this. */
const MAX_SAVED_BYTES = 64 * 2 ** 20;

const sourceSchema = z.object({ path: z.string().min(1), label: z.string(), jobId: z.string().optional(), isHere: z.boolean().optional() });
const stateSchema = z.object({ sources: z.array(sourceSchema).max(MAX_SOURCES) });
const fromPageSchema: z.ZodType<HeatmapFromPage> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({ type: z.literal('want'), sets: z.array(z.object({ path: z.string(), key: z.string() })).max(MAX_SOURCES) }),
  z.object({ type: z.literal('add-source'), source: sourceSchema }),
  z.object({ type: z.literal('remove-source'), path: z.string() }),
  z.object({ type: z.literal('open-run'), path: z.string() }),
  z.object({
    type: z.literal('save'),
    suggestedName: z.string().regex(/^[^/\\]{1,200}$/),
    content: z.union([z.string().max(MAX_SAVED_BYTES), z.instanceof(Uint8Array)]),
  }),
]);

/** The status of a job that ended; a job that succeeded shows its scores instead. */
const END_WORDS: Readonly<Record<string, string>> = {
  failed: 'The job failed.',
  stopped: 'The job was stopped.',
  aborted: 'The job was aborted.',
};

export const connectHeatmap: ConnectPage<HeatmapToPage> = ({ state, services, post, keep, setTitle }): PageHost => {
  let sources: readonly HeatmapSource[] = stateSchema.safeParse(state).data?.sources ?? [];
  let wanted: readonly ScoreSetRef[] = [];
  /** The version of each file when last read, and which of its scores the page has. */
  const known = new Map<string, ReadSource>();
  const sent = new Map<string, number>();
  let isOpen = true;
  /** One task at a time, so that messages arrive in order. */
  let work = Promise.resolve();
  const enqueue = (task: () => Promise<void>): void => {
    work = work.then(async () => {
      if (!isOpen) return;
      await task().catch((error: unknown) => services.showError(error));
    });
  };

  /** Local copies of files on a remote daemon's machine. */
  const far = services.isRemote() ? createFarScores(services.daemon) : undefined;
  const placeOf = async ({ path, isHere }: HeatmapSource): Promise<string> => (far && !isHere ? far.copyOf(path) : path);

  /** Whether a job is computing the scores of this source. */
  const isAtWork = ({ path, jobId }: HeatmapSource): boolean =>
    services.jobs().some(job => (job.id === jobId || job.runDir === path) && !hasEnded(job));

  async function read(source: HeatmapSource): Promise<ReadSource> {
    try {
      const path = await placeOf(source);
      const { info, place } = await readSource({ ...source, path }, isAtWork(source));
      return { info: { ...info, path: source.path, problem: info.problem?.replaceAll(path, source.path) }, place };
    } catch (error) {
      // The daemon is unreachable; the next look retries.
      const problem = error instanceof Error ? error.message : String(error);
      return { info: { path: source.path, label: source.label, kind: 'scores', sets: [], modules: [], isPartial: false, problem } };
    }
  }

  /** The candidates for a comparison. */
  async function candidates(): Promise<readonly HeatmapSource[]> {
    const here = await candidatesBeside(sources.filter(({ isHere }) => !far || isHere));
    if (!far) return here;
    const folders = [...new Set(sources.flatMap(({ path, isHere }) => (isHere ? [] : [dirname(path)])))];
    const runs = await services.daemon().then(
      async daemon => (await daemon.request('listRuns', { folders })).runs,
      () => [],
    );
    const others = runs.filter(({ runDir, method }) => choosesByScores(method) && sources.every(({ path }) => path !== runDir));
    return [...here.map(source => ({ ...source, isHere: true })), ...others.map(({ runDir, name }) => ({ path: runDir, label: name }))];
  }

  async function sendSources(): Promise<void> {
    for (const source of sources) if (!known.has(source.path)) known.set(source.path, await read(source));
    const infos = sources.flatMap(({ path }) => known.get(path)?.info ?? []);
    setTitle(infos.length > 0 ? `Heatmap: ${infos.map(({ label }) => label).join(', ')}` : 'Heatmap');
    post({ type: 'sources', sources: infos, candidates: await candidates(), colorMap: services.setting('heatmap.colorMap') });
  }

  /** Sends the modules of a set whose scores the page does not have yet. */
  async function sendScores(set: ScoreSetRef): Promise<void> {
    const source = known.get(set.path);
    if (!source?.place) return;
    const file = await openScoreSets(source.place.file);
    try {
      let modules: ModuleScores[] = [];
      let bytes = 0;
      for (const name of file.modules.keys()) {
        const scores = await file.read(set.key, name);
        if (!isOpen || !isWanted(set)) return;
        const id = `${set.path}\n${set.key}\n${name}`;
        if (!scores || sent.get(id) === hashOf(scores)) continue;
        sent.set(id, hashOf(scores));
        modules.push({ name, scores });
        bytes += scores.byteLength;
        if (bytes < MESSAGE_BYTES) continue;
        post({ type: 'scores', set, modules, isLast: false });
        [modules, bytes] = [[], 0];
      }
      post({ type: 'scores', set, modules, isLast: true });
    } finally {
      await file.close();
    }
  }

  const isWanted = ({ path, key }: ScoreSetRef): boolean => wanted.some(set => set.path === path && set.key === key);

  async function look(): Promise<void> {
    for (const source of sources) {
      const before = known.get(source.path);
      // The page does not know this source yet, so the list of sources goes first.
      if (!before) continue;
      const place = await placeOf(source)
        .then(placeOfScores)
        .catch(() => undefined);
      // For a moment there are neither partial nor complete scores.
      if (!place || place.version === before.place?.version) continue;
      const now = await read(source);
      if (now.place) await take(source, now);
    }
  }

  /** Tells the page about a source, and sends the scores that it waits for: it asks for each set once. */
  async function take({ path }: HeatmapSource, now: ReadSource): Promise<void> {
    known.set(path, now);
    post({ type: 'source', source: now.info });
    for (const set of wanted) if (set.path === path) await sendScores(set);
  }

  /** A job has ended: its scores are there now, or there is nothing to wait for. */
  async function readAnew(path: string): Promise<void> {
    const source = sources.find(each => each.path === path);
    if (source !== undefined && known.get(path)?.place === undefined) await take(source, await read(source));
  }

  function change(next: readonly HeatmapSource[]): void {
    sources = next;
    keep({ kind: 'heatmap', sources } satisfies HeatmapState & Record<string, unknown>);
    enqueue(sendSources);
  }

  async function save(file: { readonly suggestedName: string; readonly content: string | Uint8Array }): Promise<void> {
    const path = await services.saveFile(file);
    if (path !== undefined) post({ type: 'saved', path });
  }

  function want(sets: readonly ScoreSetRef[]): void {
    const isFresh = sets.map(set => !isWanted(set));
    wanted = sets;
    // The page asks again for sets that it dropped.
    for (const id of sent.keys()) if (!wanted.some(({ path, key }) => id.startsWith(`${path}\n${key}\n`))) sent.delete(id);
    sets.forEach((set, i) => {
      if (isFresh[i]) enqueue(() => sendScores(set));
    });
  }

  function handle(message: HeatmapFromPage): void {
    switch (message.type) {
      case 'ready':
        // A page that reloads has no data.
        wanted = [];
        sent.clear();
        known.clear();
        enqueue(sendSources);
        break;
      case 'want':
        want(message.sets);
        break;
      case 'add-source':
        if (sources.length < MAX_SOURCES && sources.every(({ path }) => path !== message.source.path)) change([...sources, message.source]);
        break;
      case 'remove-source':
        known.delete(message.path);
        change(sources.filter(({ path }) => path !== message.path));
        break;
      case 'open-run':
        enqueue(() => services.openPage({ kind: 'run', state: { runDir: message.path } }));
        break;
      case 'save':
        enqueue(() => save(message));
    }
  }

  const jobs = watchJobs();
  function watchJobs(): { readonly dispose: () => void } {
    /** The source that a job works on. */
    const sourceOf = (jobId: string): string | undefined => {
      const runDir = services.jobs().find(({ id }) => id === jobId)?.runDir;
      return sources.find(({ jobId: own, path }) => own === jobId || path === runDir)?.path;
    };
    const stops = [
      services.onJobEvent(({ jobId, event }) => {
        const path = sourceOf(jobId);
        if (path === undefined) return;
        if (event.type === 'phase') post({ type: 'progress', path, message: event.name === 'importance' ? event.message : '' });
        if (event.type === 'progress' && event.phase === 'importance') {
          const { done, total, unit, secondsLeft } = event;
          post({ type: 'progress', path, progress: { done, total, unit, secondsLeft }, message: event.message ?? 'scoring' });
        }
        if (event.type === 'state' && ['succeeded', 'failed', 'stopped', 'aborted'].includes(event.state)) {
          post({ type: 'progress', path, message: END_WORDS[event.state] ?? '' });
          enqueue(() => readAnew(path));
        }
      }),
    ];
    return {
      dispose: () => {
        for (const stop of stops) stop();
      },
    };
  }

  let isLooking = false;
  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    enqueue(() => look().finally(() => (isLooking = false)));
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
      jobs.dispose();
      // Waits for the copy that is being read.
      void work.then(() => far?.dispose());
    },
  };
};

/** FNV-1a over the bits: tells which modules changed since they were sent. */
function hashOf(scores: Float32Array): number {
  let hash = 0x811c9dc5;
  for (const word of new Uint32Array(scores.buffer, scores.byteOffset, scores.length)) hash = Math.imul(hash ^ word, 0x01000193);
  return hash;
}
