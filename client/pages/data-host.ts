/** Host of the data page: one job shows samples, another reads all samples. Both use the recipe as it is in the editor. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { messageOf } from '../../trainer/protocol/error-facts.ts';
import { currentProgress, rateText, stageText } from '../../trainer/protocol/messages/job-stage.ts';
import type { JobRecord } from '../../trainer/protocol/messages/rpc-messages.ts';
import { setColumns } from '../../trainer/protocol/recipe/set-columns.ts';
import {
  DATA_PARTS,
  type DataFromPage,
  type DataPart,
  type DataResult,
  type DataToPage,
  PAGE_SAMPLES,
} from '../../trainer/protocol/view/data.ts';
import { progressText } from '../status/status-text.ts';
import type { ConnectPage, PageServices } from './page-services.ts';

const stateSchema = z.object({ recipe: z.string().min(1), label: z.string() });

const fromPage: z.ZodType<DataFromPage> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({ type: z.literal('show'), part: z.enum(DATA_PARTS), from: z.int().min(0) }),
  z.object({ type: z.literal('refresh') }),
  z.object({ type: z.literal('open'), file: z.string().min(1), line: z.int().min(1).optional() }),
  z.object({ type: z.literal('map'), columns: z.record(z.string(), z.string().min(1)) }),
]);

/** Checks only these parts; the rest comes from our own worker. */
const resultSchema = z.looseObject({ page: z.looseObject({ samples: z.array(z.unknown()), parts: z.array(z.unknown()) }) });
const isDataResult = (value: unknown): value is DataResult => resultSchema.safeParse(value).success;

interface Place {
  readonly part: DataPart;
  readonly from: number;
}

const START: Place = { part: 'train', from: 0 };

type JobKind = 'samples' | 'statistics';

interface DataJobs {
  /** Starts a job that replaces the previous one of its kind. @returns undefined if another job replaced it in the meantime */
  readonly run: (kind: JobKind, asked: Place & { readonly count: number }) => Promise<DataResult | undefined>;
  /** Id of the newest running job of a kind; results of earlier ones are ignored. */
  readonly newest: (kind: JobKind) => string | undefined;
  readonly abort: () => void;
}

/** The jobs of a page: at most one of each kind at a time. */
function dataJobs(recipe: string, services: PageServices): DataJobs {
  const newest = new Map<JobKind, string>();
  return {
    run: async (kind, asked) => {
      const id = randomUUID();
      const before = newest.get(kind);
      newest.set(kind, id);
      const daemon = await services.daemon();
      if (before !== undefined) daemon.request('abortJob', { id: before }).catch(() => undefined);
      const given = await services.recipeSource(recipe);
      if (newest.get(kind) !== id) return undefined;
      await daemon.request('previewData', { id, recipe: given, ...asked, statistics: kind === 'statistics' });
      const job = await daemon.request('waitForJob', { id, abortOnCancel: true });
      if (newest.get(kind) !== id) return undefined;
      newest.delete(kind);
      if (job.state === 'succeeded' && isDataResult(job.result)) return job.result;
      const { message = 'The job ended without a result.', hint } = job.failure ?? {};
      throw new Error(hint === undefined ? message : `${message}. ${hint}.`);
    },
    newest: kind => newest.get(kind),
    abort: () => {
      const ids = [...newest.values()];
      newest.clear();
      if (ids.length === 0) return;
      services.daemon().then(
        daemon => {
          for (const id of ids) daemon.request('abortJob', { id }).catch(() => undefined);
        },
        () => undefined,
      );
    },
  };
}

/** Connects the page. Its `state` is `{ recipe, label }`, the address of the recipe and its name. */
export const connectData: ConnectPage<DataToPage> = ({ state, services, post, setTitle }) => {
  const source = stateSchema.safeParse(state).data;
  if (source === undefined)
    return { receive: () => post({ type: 'failed', message: 'The recipe of this page is not known.' }), dispose: () => undefined };
  const { recipe, label } = source;
  setTitle(`Data: ${label}`);
  const jobs = dataJobs(recipe, services);
  let place = START;
  const stopHearing = services.onJobEvent(({ jobId, event }) => {
    if (jobId !== jobs.newest('statistics')) return;
    if (event.type === 'statistics') post({ type: 'statistics', statistics: event.statistics });
    const job = services.jobs().find(({ id }) => id === jobId);
    if (job?.state === 'running') post(progressOf(job));
  });

  async function showSamples(): Promise<void> {
    post({ type: 'loading' });
    try {
      const result = await jobs.run('samples', { ...place, count: PAGE_SAMPLES });
      if (result) post({ type: 'samples', page: result.page });
    } catch (error) {
      post({ type: 'failed', message: messageOf(error) });
    }
  }

  async function showStatistics(): Promise<void> {
    post({ type: 'progress', text: 'Starting' });
    try {
      // Statistics cover all samples, so none is skipped.
      const result = await jobs.run('statistics', { ...START, count: 0 });
      if (result) post({ type: 'statistics', statistics: result.statistics, failure: result.failure });
    } catch (error) {
      post({ type: 'statistics', failure: messageOf(error) });
    }
  }

  async function showAll(): Promise<void> {
    post({ type: 'view', label });
    await Promise.all([showSamples(), showStatistics()]);
  }

  async function receive(message: DataFromPage): Promise<void> {
    switch (message.type) {
      case 'ready':
      case 'refresh':
        return showAll();
      case 'show':
        place = { part: message.part, from: message.from };
        return showSamples();
      case 'open':
        return services.openFile(message.file, message.line);
      case 'map':
        await services.editRecipe(recipe, text => setColumns(text, message.columns));
        place = { ...place, from: 0 };
        return showAll();
    }
  }

  return {
    receive: message => {
      const checked = fromPage.safeParse(message);
      if (checked.success) receive(checked.data).catch((error: unknown) => services.showError(error));
      else services.log.warn(`the data page of ${label} sent an invalid message: ${checked.error.message}`);
    },
    dispose: () => {
      stopHearing();
      jobs.abort();
    },
  };
};

function progressOf(job: JobRecord): DataToPage {
  const counted = currentProgress(job);
  if (counted === undefined) return { type: 'progress', text: job.phase === undefined ? 'Starting' : stageText(job.phase) };
  const text = [progressText(job), rateText(counted), counted.message].filter(part => part !== undefined).join(', ');
  return { type: 'progress', text, share: counted.total > 0 ? counted.done / counted.total : undefined };
}
