/**
 * Everything of one run as patches: all of it first, then what is new. The files of the run are the only truth; events of the daemon say
 * when to look, and a slow clock looks at runs that no daemon knows of. So nothing is missed and nothing told twice, whoever was away.
 */
import type { JobEvent, JobRecord, RunInfo } from '../../trainer/protocol/rpc-messages.ts';
import { KEPT_LOG_LINES, PATCH_LINES, type RunOverview, type RunPatch, type ShownJob } from '../../trainer/protocol/view/run.ts';
import { metricsPatch } from './metric-lines.ts';
import type { PageServices } from './page-services.ts';
import { parseCoverage, parseEvaluation, parseMemory, parseRecipeFile, parseSummary } from './run-files.ts';
import { openRunSource, type RunSource, WholeFile } from './run-source.ts';

/** A run that writes and of which no event tells. */
const ACTIVE_LOOK_MS = 1000;
/** A run at rest: another program may resume or delete it. */
const IDLE_LOOK_MS = 5000;

export type FeedServices = Pick<PageServices, 'isRemote' | 'daemon' | 'jobs' | 'onJobEvent' | 'onJobChanged' | 'updateIntervalMs' | 'log'>;

export interface FeedParams {
  readonly runDir: string;
  readonly services: FeedServices;
  /** Lines of the log are wanted too. */
  readonly withLog: boolean;
  readonly onPatch: (patch: RunPatch) => void;
  /** The run can't be read, and why; empty when it can again. */
  readonly onTrouble?: (message: string) => void;
}

interface Place {
  from: number;
  version: string;
  /** Something was sent, if only that there is nothing yet. */
  isBegun: boolean;
}

const start = (): Place => ({ from: 0, version: '', isBegun: false });

export class RunFeed {
  private readonly params: FeedParams;
  private readonly unlisten: (() => void)[] = [];
  private readonly source: RunSource;
  /** Why the run can't be read, told once. */
  private trouble = '';
  private job: JobRecord | undefined;
  private metrics = start();
  private log = start();
  private readonly files = {
    recipe: new WholeFile('recipe'),
    coverage: new WholeFile('coverage'),
    memory: new WholeFile('memory'),
    evaluation: new WholeFile('evaluation'),
    summary: new WholeFile('summary'),
  };
  /** As they were last sent, to send only what differs. */
  private sent = new Map<string, string>();
  private info: RunInfo | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isLooking = false;
  private isAwaited = false;
  private isOpen = true;
  private lookedMs = Number.NEGATIVE_INFINITY;
  /** Counts the times that all was asked for again: what an older look still finds is not sent. */
  private beginning = 0;

  constructor(params: FeedParams) {
    this.params = params;
    const { services, runDir } = params;
    this.source = openRunSource(runDir, services);
    for (const job of services.jobs()) this.changed(job);
    this.unlisten.push(
      services.onJobChanged(job => this.changed(job)),
      services.onJobEvent(event => this.heard(event)),
    );
  }

  /** The newest job that the daemon has for this run. */
  get currentJob(): JobRecord | undefined {
    return this.job;
  }

  /** Sends everything, from the first line on. */
  begin(): void {
    this.beginning++;
    this.metrics = start();
    this.log = start();
    this.sent.clear();
    this.trouble = '';
    this.poke();
  }

  /** Looks soon: now, or when the interval since the last look is over. */
  poke(): void {
    if (!this.isOpen || this.beginning === 0) return;
    if (this.isLooking) {
      this.isAwaited = true;
      return;
    }
    clearTimeout(this.timer);
    const waitMs = Math.max(0, this.lookedMs + this.params.services.updateIntervalMs() - performance.now());
    this.timer = setTimeout(() => void this.look(), waitMs);
  }

  dispose(): void {
    this.isOpen = false;
    clearTimeout(this.timer);
    for (const end of this.unlisten) end();
  }

  private changed(job: JobRecord): void {
    const isNewer = !this.job || job.createdAt >= this.job.createdAt;
    if (job.runDir !== this.params.runDir || !isTraining(job) || !isNewer) return;
    this.job = job;
    this.poke();
  }

  private heard({ jobId, event }: JobEvent): void {
    if (jobId !== this.job?.id) return;
    if (event.type === 'progress') this.job = { ...this.job, progress: event };
    else if (event.type === 'phase') this.job = { ...this.job, phase: event.name };
    this.poke();
  }

  private async look(): Promise<void> {
    this.isLooking = true;
    const beginning = this.beginning;
    try {
      await this.send(beginning);
      this.tell('');
    } catch (error) {
      // The daemon is away, or a file was taken away while it was read: the next look finds out.
      this.tell(error instanceof Error ? error.message : String(error));
    } finally {
      this.isLooking = false;
      this.lookedMs = performance.now();
      if (this.isOpen) this.schedule(beginning !== this.beginning);
    }
  }

  private tell(trouble: string): void {
    if (trouble === this.trouble || !this.isOpen) return;
    this.trouble = trouble;
    if (trouble !== '') this.params.services.log.warn(`${this.params.runDir}: ${trouble}`);
    this.params.onTrouble?.(trouble);
  }

  private schedule(isStale: boolean): void {
    if (this.isAwaited || isStale) {
      this.isAwaited = false;
      this.poke();
      return;
    }
    const isActive = this.info?.state === 'preparing' || this.info?.state === 'running';
    this.timer = setTimeout(() => void this.look(), isActive ? ACTIVE_LOOK_MS : IDLE_LOOK_MS);
    this.timer.unref();
  }

  private async send(beginning: number): Promise<void> {
    const post = (patch: RunPatch): boolean => {
      const isWanted = this.isOpen && beginning === this.beginning;
      if (isWanted) this.params.onPatch(patch);
      return isWanted;
    };
    // The places that belong to this beginning: one that comes meanwhile has its own, which an older look must not move.
    const { source, metrics, log } = this;
    // State before lines: when it says that the run has ended, all lines are there.
    this.info = await source.info();
    if (!this.info) {
      const job = shownJob(this.job);
      this.once('overview', JSON.stringify(job ?? {}), () => post({ type: 'missing', runDir: this.params.runDir, job }));
      return;
    }
    const overview = overviewOf(this.info, this.job);
    // The age moves on by itself: it is no news.
    this.once('overview', JSON.stringify({ ...overview, ageSeconds: 0 }), () => post({ type: 'overview', overview }));
    await this.sendFiles(source, post);
    await this.sendLines(source, 'metrics', metrics, post);
    if (this.params.withLog) await this.sendLines(source, 'log', log, post);
  }

  private async sendFiles(source: RunSource, post: (patch: RunPatch) => boolean): Promise<void> {
    const { files } = this;
    const [recipe, coverage, memory, evaluation, summary] = await Promise.all(
      [files.recipe, files.coverage, files.memory, files.evaluation, files.summary].map(file => file.read(source)),
    );
    this.sendFile('recipe', recipe, text => post({ type: 'recipe', ...parseRecipeFile(text) }));
    this.sendFile('coverage', coverage, text => {
      const found = parseCoverage(text);
      return !found || post({ type: 'coverage', coverage: found });
    });
    this.sendFile('memory', memory, text => {
      const found = parseMemory(text);
      return !found || post({ type: 'memory', memory: found });
    });
    this.sendFile('evaluation', evaluation, text => {
      const found = parseEvaluation(text);
      return !found || post({ type: 'evaluation', evaluation: found });
    });
    // That of the time before a run was resumed says nothing of the run that goes on.
    const hasEnded = this.info?.state === 'finished' || this.info?.state === 'stopped';
    const told = hasEnded ? summary : undefined;
    this.once('summary', told ?? '', () => post({ type: 'summary', summary: told === undefined ? null : (parseSummary(told) ?? null) }));
  }

  /** Read anew only where it is another text. */
  private sendFile(what: string, text: string | undefined, send: (text: string) => boolean): void {
    if (text !== undefined) this.once(what, text, () => send(text));
  }

  private once(what: string, content: string, post: () => boolean): void {
    if (this.sent.get(what) === content) return;
    if (post()) this.sent.set(what, content);
  }

  /** Reads to the end. A patch is sent when it is full or the file is read. */
  private async sendLines(source: RunSource, file: 'metrics' | 'log', place: Place, post: (patch: RunPatch) => boolean): Promise<void> {
    let reset = !place.isBegun;
    let lines: string[] = [];
    const flush = (): boolean => {
      if (lines.length === 0 && !reset) return true;
      const kept = file === 'log' ? lines.slice(-KEPT_LOG_LINES) : lines;
      const isSent = post(file === 'metrics' ? metricsPatch(kept, reset) : { type: 'log', reset, lines: kept });
      lines = [];
      reset = false;
      place.isBegun = true;
      return isSent;
    };
    for (let more = true; more; ) {
      const page = await source.tail(file, place.from, place.version);
      if (page.rewound) {
        // From an earlier checkpoint, or anew: what was sent is void.
        lines = [];
        reset = true;
        Object.assign(place, start());
        continue;
      }
      lines.push(...page.lines);
      // Of a log only the newest lines are wanted, however long it is.
      if (file === 'log' && lines.length > 2 * KEPT_LOG_LINES) lines = lines.slice(-KEPT_LOG_LINES);
      place.from = page.next;
      place.version = page.version;
      more = page.more;
      if (file === 'metrics' && lines.length >= PATCH_LINES && !flush()) return;
    }
    flush();
  }
}

const isTraining = ({ kind }: JobRecord): boolean => kind === 'train' || kind === 'resume';

function shownJob(job: JobRecord | undefined): ShownJob | undefined {
  if (!job) return undefined;
  const { id, state, phase, progress, failure } = job;
  return { id, state, phase, progress, failure };
}

function overviewOf(info: RunInfo, job: JobRecord | undefined): RunOverview {
  const isOver = info.state === 'stopped' || info.state === 'failed' || info.state === 'interrupted';
  // What has done no update is begun anew, by its recipe.
  const resumable = isOver && info.step > 0 && info.step < (info.totalSteps || Number.POSITIVE_INFINITY);
  // It was resumed in a terminal: a job that ended before says nothing of it.
  const isElsewhere = !isOver && info.state !== 'finished' && job?.endedAt !== undefined && info.updatedAt > job.endedAt;
  return { ...info, job: isElsewhere ? undefined : shownJob(job), resumable };
}
