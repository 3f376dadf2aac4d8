/** Host of the Try page: one job per side, whose text is forwarded as it arrives. */
import path from 'node:path';
import { z } from 'zod';
import { messageOf } from '../../trainer/protocol/error-facts.ts';
import type { JobRecord, RequestParams } from '../../trainer/protocol/messages/rpc-messages.ts';
import { isImageUrl, MAX_PROMPT_IMAGE_BYTES } from '../../trainer/protocol/prompt-images.ts';
import { MAX_SAMPLES } from '../../trainer/protocol/view/compared-sample.ts';
import {
  EMPTY_TRY,
  MAX_PROMPT,
  MAX_THUMBNAIL,
  PROMPT_STYLES,
  TRY_BOUNDS,
  TRY_DEFAULTS,
  type TryAnswer,
  type TryFromPage,
  type TryOptions,
  type TryRound,
  type TrySide,
  type TryToPage,
} from '../../trainer/protocol/view/try.ts';
import { hasEnded } from '../daemon/job-store.ts';
import type { ConnectPage, PageServices } from './page-services.ts';
import { createConversation } from './try-conversation.ts';
import { createTryImages } from './try-images.ts';
import { comparedSchema, entitiesSchema, labelsSchema, nearestSchema } from './try-result.ts';

const answerSchema: z.ZodType<TryAnswer> = z.object({
  side: z.enum(['base', 'tuned']),
  text: z.string(),
  reasoning: z.string().optional(),
  state: z.enum(['waiting', 'loading', 'writing', 'done', 'stopped', 'failed']),
  note: z.string().optional(),
  entities: entitiesSchema.optional(),
  labels: labelsSchema.optional(),
  nearest: nearestSchema.optional(),
  compared: comparedSchema.optional(),
});

const thumbnail = z.string().max(MAX_THUMBNAIL).refine(isImageUrl);
const name = z.string().max(1000);
const pictures = z.array(z.object({ name, thumbnail: thumbnail.optional() }));

const stateSchema = z.object({
  /** A hub name, or a path. */
  model: z.string().min(1),
  revision: z.string().min(1),
  /** The adapter of a run, which is compared with its base. */
  adapter: z.string().refine(path.isAbsolute).optional(),
  /** True if the adapter labels texts or their words; its base has no head that could. */
  givesLabels: z.boolean().optional(),
  /** True if the adapter embeds texts, which are compared with those of the run's data. */
  comparesTexts: z.boolean().optional(),
  /** True if the adapter was tuned on compared or judged answers, so those of samples can be scored. */
  comparesAnswers: z.boolean().optional(),
  /** True if the adapter's model scores answers and writes none. */
  scoresOnly: z.boolean().optional(),
  /** The folder against which a relative model path is resolved. */
  baseDir: z.string().refine(path.isAbsolute),
  label: z.string(),
  rounds: z.array(z.object({ prompt: z.string(), images: pictures.optional(), answers: z.array(answerSchema) })).optional(),
  /** Running jobs of the latest question. */
  jobs: z.array(z.object({ side: z.enum(['base', 'tuned']), id: z.string() })).optional(),
});

/** Longer than the largest image in base64, which is refused with a message. */
const MAX_URL = 2 * MAX_PROMPT_IMAGE_BYTES;

const bounded = (name: keyof typeof TRY_BOUNDS) => z.number().min(TRY_BOUNDS[name].min).max(TRY_BOUNDS[name].max);
const fromPage: z.ZodType<TryFromPage> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({
    type: z.literal('ask'),
    prompt: z.string().min(1).max(MAX_PROMPT),
    options: z.object({
      prompt: z.enum(PROMPT_STYLES),
      maxNewTokens: bounded('maxNewTokens').int(),
      temperature: bounded('temperature'),
      topP: bounded('topP'),
      topK: bounded('topK').int(),
      seed: bounded('seed').int(),
    }),
  }),
  z.object({ type: z.literal('attach'), name, url: z.string().max(MAX_URL).refine(isImageUrl), thumbnail }),
  z.object({ type: z.literal('detach'), place: z.int().min(0) }),
  z.object({
    type: z.literal('compare'),
    sample: z
      .number()
      .int()
      .min(0)
      .max(MAX_SAMPLES - 1),
  }),
  z.object({ type: z.literal('stop') }),
  z.object({ type: z.literal('clear') }),
]);

type Source = Omit<z.infer<typeof stateSchema>, 'rounds' | 'jobs'>;

type AnswerRequest = Omit<RequestParams<'generate'>, 'id'>;

/** Connects the page. Its `state` is `{ model, revision, baseDir, label, adapter? }`; with an adapter, the base model answers, too. */
export const connectTry: ConnectPage<TryToPage> = ({ state, services, post, keep, setTitle }) => {
  const checkedState = stateSchema.safeParse(state).data;
  if (checkedState === undefined) return { receive: () => post(NO_MODEL), dispose: () => undefined };
  const { rounds, jobs, ...source } = checkedState;
  const sides = sidesOf(source);
  const comparesAnswers = source.adapter !== undefined && source.comparesAnswers === true;
  const images = createTryImages(post);
  const talk = createConversation({ rounds, jobs, post, keep: kept => keep({ ...source, ...kept }), list: services.jobs });
  const { ask, stop } = askingJobs(talk, services);
  /** Undefined until the daemon has the model, which the first question may download. */
  let readsImages: boolean | undefined;
  const showAll = (): void => {
    const { label, model } = source;
    const attached = images.attached();
    post({ type: 'view', label, model, sides, comparesAnswers, readsImages: readsImages === true, attached, rounds: talk.rounds });
  };
  const learn = async (): Promise<void> => {
    if (readsImages !== undefined) return;
    readsImages = await readsImagesOf(source, services);
    if (readsImages) showAll();
  };
  setTitle(`Try: ${source.label}`);
  const follow = (job: JobRecord): void => {
    if (talk.isWaitingFor(job.id) && hasEnded(job)) void learn();
    talk.follow(job);
  };
  const stops = [services.onJobChanged(follow), services.onJobEvent(talk.hear)];
  // The window was reloaded during an answer.
  for (const job of services.jobs()) talk.follow(job);

  async function receive(message: TryFromPage): Promise<void> {
    switch (message.type) {
      case 'ready':
        showAll();
        return learn();
      case 'attach':
        return readsImages ? images.add(message) : undefined;
      case 'detach':
        return images.remove(message.place);
      case 'ask': {
        if (talk.isBusy || sides.length === 0) return undefined;
        const { urls, pictures } = images.take();
        const { prompt, options } = message;
        const extra = urls.length > 0 ? { images: urls } : {};
        return ask({ prompt, images: pictures }, sides, side => ({ ...requestOf(source, side, prompt, options), ...extra }));
      }
      case 'compare': {
        const prompt = `Sample ${message.sample + 1}`;
        // One job scores the answers with both models.
        const request = (side: TrySide) => ({ ...requestOf(source, side, prompt, TRY_DEFAULTS), sample: message.sample });
        return ask({ prompt }, comparesAnswers ? ['tuned'] : [], request);
      }
      case 'stop':
        return stop();
      case 'clear':
        if (talk.isBusy) await stop();
        talk.clear();
        return showAll();
    }
  }

  return {
    receive: message => {
      const checked = fromPage.safeParse(message);
      if (checked.success) receive(checked.data).catch((error: unknown) => services.showError(error));
      else services.log.warn(`the Try page of ${source.label} sent an invalid message: ${checked.error.message}`);
    },
    dispose: () => {
      for (const each of stops) each();
    },
  };
};

const NO_MODEL: TryToPage = { ...EMPTY_TRY, type: 'view', label: 'No model' };

/** Starts and stops the jobs that answer a question. */
const askingJobs = (talk: ReturnType<typeof createConversation>, services: PageServices) => ({
  async ask(question: Omit<TryRound, 'answers'>, asked: readonly TrySide[], requestFor: (side: TrySide) => AnswerRequest): Promise<void> {
    if (talk.isBusy || asked.length === 0) return;
    const started = talk.begin(question, asked);
    try {
      const daemon = await services.daemon();
      for (const [id, side] of started) {
        // The job was stopped in the meantime.
        if (!talk.isWaitingFor(id)) continue;
        talk.follow(await daemon.request('generate', { id, ...requestFor(side) }));
      }
    } catch (error) {
      talk.fail(messageOf(error));
      services.showError(error);
    }
  },
  async stop(): Promise<void> {
    const ids = talk.stop();
    const daemon = await services.daemon();
    // A job that never started can't be aborted.
    const known = new Set(services.jobs().map(({ id }) => id));
    for (const id of ids) if (known.has(id)) await daemon.request('abortJob', { id });
  },
});

/** Whether prompts may have images; undefined if that is not known yet, such as before a model is downloaded. */
async function readsImagesOf(source: Source, services: PageServices): Promise<boolean | undefined> {
  const { model, revision, baseDir, givesLabels, comparesTexts } = source;
  if (sidesOf(source).length === 0 || givesLabels || comparesTexts) return false;
  try {
    const daemon = await services.daemon();
    return (await daemon.request('readsImages', { model, revision, baseDir })).readsImages;
  } catch {
    return undefined;
  }
}

/** The models that write an answer. A head for labels belongs to the adapter, so the base has no answer. */
function sidesOf({ adapter, givesLabels, scoresOnly }: Source): readonly TrySide[] {
  if (adapter === undefined) return ['base'];
  if (scoresOnly) return [];
  return givesLabels ? ['tuned'] : ['base', 'tuned'];
}

function requestOf(
  { model, revision, baseDir, adapter, comparesTexts }: Source,
  side: TrySide,
  prompt: string,
  { prompt: style, ...generation }: TryOptions,
): AnswerRequest {
  return {
    model,
    revision,
    baseDir,
    prompt,
    options: { ...generation, chat: style !== 'plain', engine: 'auto' as const },
    // The base model gets the same prompt as the tuned one.
    ...((style === 'trained' || comparesTexts) && adapter !== undefined ? { promptOf: adapter } : {}),
    ...(side === 'tuned' && adapter !== undefined ? { adapter } : {}),
  };
}
