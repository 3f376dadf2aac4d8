/** The client's one connection to the daemon: opened when needed and reopened when lost, without gaps in the job events. */
import { setTimeout as delay } from 'node:timers/promises';
import type { JobEvent } from '../../trainer/protocol/messages/rpc-messages.ts';
import type { ConnectOptions, DaemonAddress, DaemonClient } from '../../trainer/rpc/connection/connect.ts';
import { DaemonError } from '../../trainer/rpc/daemon-error.ts';
import { isTraining, type JobStore } from './job-store.ts';
import type { LinkState } from './link-state.ts';
import type { RestartPolicy } from './restart-policy.ts';

export interface LinkOptions {
  readonly store: JobStore;
  readonly client: ConnectOptions['client'];
  /** Maximum silence of the daemon; more than twice the interval of its pings by default. */
  readonly silenceMs?: number;
  /** Returns the address of the daemon; called for every connection, because settings change. */
  readonly address: () => Promise<DaemonAddress>;
  /** Starts the daemon on this machine; resolves when it answers. */
  readonly start: () => Promise<void>;
  readonly policy: RestartPolicy;
  readonly onState: (state: LinkState) => void;
  /** Called after a daemon that died was restarted; its jobs are already in the store. */
  readonly onRestarted: () => void;
  readonly log: (message: string) => void;
}

/** Delays between attempts to reconnect, in ms: a tunnel that comes back after sleep is found within a minute. */
const RETRY_MS = [200, 500, 1000, 2000, 4000, 8000, 15_000, 30_000] as const;
/** A local daemon is considered dead after this many failed attempts. */
const LOCAL_ATTEMPTS = 3;
/** Interval of attempts to reach a daemon that is alive but does not answer. */
const UNRESPONSIVE_MS = 5000;
/** Reason for which the jobs of a dead daemon failed. */
const ENDED = 'the daemon ended unexpectedly';

export class DaemonKeeper {
  private readonly options: LinkOptions;
  private linkState: LinkState = { kind: 'off' };
  private client: DaemonClient | undefined;
  /** The attempt in progress, and whether it starts a daemon if none runs. */
  private opening: { readonly client: Promise<DaemonClient>; readonly starts: boolean } | undefined;
  /** True while a daemon that does not answer is looked for again and again. */
  private isAwaited = false;
  /** Settles when a lost connection was reopened or given up. */
  private recovering: Promise<void> | undefined;
  /** The last event received, and the epoch of the daemon process that sent it. */
  private position: { readonly epoch: string; seq: number } | undefined;
  private isDisposed = false;
  /** Counts changes of address; answers for an earlier address are dropped. */
  private given = 0;

  constructor(options: LinkOptions) {
    this.options = options;
  }

  get state(): LinkState {
    return this.linkState;
  }

  /** The current connection, if any. */
  get current(): DaemonClient | undefined {
    return this.client;
  }

  /**
   * Connects; starts a local daemon if none runs.
   * @throws DaemonError
   */
  async ensure(): Promise<DaemonClient> {
    // Wait for a recovery, so that callers do not start a daemon past the restart policy. A remote daemon is contacted at once.
    if (this.linkState.kind !== 'reconnecting' || !this.linkState.isRemote) await this.recovering;
    return this.openOrStart();
  }

  private async openOrStart(): Promise<DaemonClient> {
    // The views of a new window only join a daemon. If that attempt finds none, start one.
    if (this.opening?.starts === false) await this.opening.client.catch(() => undefined);
    return this.once(true, async given => {
      const address = await this.options.address();
      try {
        return await this.connect(address, given);
      } catch (error) {
        if ('url' in address || !isDaemonMissing(error) || given !== this.given) throw error;
      }
      this.setState({ kind: 'starting' });
      await this.options.start();
      return this.connect(address, given);
    });
  }

  /** Connects if a daemon is already running (a remote one counts as running). Reports nothing if none answers. */
  async join(): Promise<DaemonClient | undefined> {
    try {
      return await this.once(false, async given => this.connect(await this.options.address(), given));
    } catch (error) {
      if (isDaemonMissing(error)) return undefined;
      throw error;
    }
  }

  /** Stops the daemon, which saves running trainings first. */
  async stop(): Promise<void> {
    const client = this.client ?? (await this.join());
    if (client === undefined) return;
    await client.request('shutdown', {});
    await client.exit();
    await client.closed;
    await this.recovering;
  }

  /** Drops the connection because the address changed. */
  disconnect(): void {
    const client = this.client;
    this.given++;
    this.opening = undefined;
    this.position = undefined;
    if (client === undefined || !this.lost(client, { kind: 'off' })) return;
    client.close();
    this.options.store.replaceAll([]);
  }

  dispose(): void {
    this.isDisposed = true;
    this.client?.close();
    this.client = undefined;
  }

  /** One attempt at a time; concurrent callers share it. */
  private once(starts: boolean, open: (given: number) => Promise<DaemonClient>): Promise<DaemonClient> {
    if (this.client !== undefined) return Promise.resolve(this.client);
    if (this.opening !== undefined) return this.opening.client;
    const given = this.given;
    const client = open(given)
      .catch(error => {
        if (given !== this.given) throw error;
        if (!isDaemonMissing(error)) this.setState({ kind: 'failed', error });
        else if (this.linkState.kind !== 'reconnecting') this.setState({ kind: 'off' });
        if (this.isUnresponsive()) void this.awaitAnswer();
        throw error;
      })
      .finally(() => {
        if (this.opening?.client === client) this.opening = undefined;
      });
    this.opening = { client, starts };
    return client;
  }

  /** @param given the value of `given` when the address was requested */
  private async connect(address: DaemonAddress, given: number): Promise<DaemonClient> {
    const { store, client: name, log } = this.options;
    // Loaded with the first connection: a window without a daemon does not need it.
    const { connectDaemon, SILENCE_MS } = await (await import('../lazy-modules.ts')).connect();
    const client = await connectDaemon(address, { client: name, events: true, silenceMs: this.options.silenceMs ?? SILENCE_MS });
    const early: JobEvent[] = [];
    let accept = (event: JobEvent): void => void early.push(event);
    client.on('jobEvent', event => accept(event));
    client.on('jobChanged', record => given === this.given && store.put(record));
    try {
      const jobs = await client.request('listJobs', {});
      if (given !== this.given) throw new DaemonError('daemon-gone', 'the window connected to another daemon in the meantime');
      const replay = await this.replay(client);
      store.replaceAll(jobs);
      accept = event => this.accept(event);
      for (const event of [...replay, ...early]) this.accept(event);
    } catch (error) {
      client.close();
      throw error;
    }
    if (this.isDisposed) {
      client.close();
      throw new DaemonError('daemon-gone', 'the window is closing');
    }
    const { pid, version } = client.server;
    log(`connected to the daemon, process ${pid}, version ${version}`);
    this.client = client;
    this.setState({ kind: 'connected', pid, version, isRemote: 'url' in address });
    void client.closed.then(reason => {
      this.recovering = this.recover(client, reason).finally(() => {
        this.recovering = undefined;
      });
    });
    return client;
  }

  /** The events since the last connection; none if that was to another daemon, because its jobs arrive as records. */
  private async replay(client: DaemonClient): Promise<readonly JobEvent[]> {
    const { startedAt: epoch, seq } = client.server;
    if (this.position?.epoch !== epoch) {
      this.position = { epoch, seq };
      return [];
    }
    const { events, complete } = await client.request('eventsSince', this.position);
    if (!complete) this.position = { epoch, seq: Math.max(this.position.seq, (events[0]?.seq ?? seq + 1) - 1) };
    return events;
  }

  private accept(event: JobEvent): void {
    if (this.position === undefined || event.seq <= this.position.seq) return;
    this.position.seq = event.seq;
    this.options.store.event(event);
  }

  private setState(state: LinkState): void {
    const before = this.linkState;
    this.linkState = state;
    // Do not report the same state again: advice to retry would not help a caller that just did.
    if (state.kind === 'off' && before.kind === 'off') return;
    if (before.kind === 'failed' && state.kind === 'failed' && String(before.error) === String(state.error)) return;
    if (!this.isDisposed) this.options.onState(state);
  }

  /** Returns false if it is not the current connection. */
  private lost(client: DaemonClient, state: LinkState): boolean {
    if (this.client !== client || this.isDisposed) return false;
    this.client = undefined;
    this.setState(state);
    return true;
  }

  /**
   * Handles the end of a connection: does nothing if it was intended, reconnects if it was lost, and restarts a dead daemon a few times.
   */
  private async recover(client: DaemonClient, reason: string): Promise<void> {
    const isRemote = this.linkState.kind === 'connected' && this.linkState.isRemote;
    if (!this.lost(client, { kind: 'reconnecting', reason, isRemote })) return;
    const { log, store } = this.options;
    log(`the connection to the daemon ended: ${reason}`);
    try {
      const address = await this.options.address();
      const { readDiscovery } = await (await import('../lazy-modules.ts')).discovery();
      if ('stateDir' in address && (await readDiscovery(address.stateDir)) === undefined) {
        store.daemonEnded('the daemon was stopped', new Date().toISOString());
        this.setState({ kind: 'off' });
        return;
      }
      const waits = 'url' in address ? RETRY_MS : RETRY_MS.slice(0, LOCAL_ATTEMPTS);
      if (await this.retry(waits)) return;
      if (this.isUnresponsive()) return;
      if ('url' in address)
        throw new DaemonError('daemon-gone', `the daemon at ${address.url} no longer answers: ${reason}`, { hint: 'Reconnect' });
      if (!this.options.policy.allows(performance.now()))
        throw new DaemonError('daemon-crashes', 'the daemon ended unexpectedly too often and is not started again', {
          hint: 'Show the log of the daemon',
        });
      await this.openOrStart();
      this.options.onRestarted();
    } catch (error) {
      const now = new Date().toISOString();
      // Training on the other machine continues. Callers that wait for other jobs get an error, because their results are lost.
      if (isRemote)
        store.daemonEnded(
          'the connection was lost; the job may still be running',
          now,
          store.active().filter(job => !isTraining(job)),
        );
      else store.daemonEnded(ENDED, now);
      this.setState({ kind: 'failed', error });
    }
  }

  private isUnresponsive(): boolean {
    return this.linkState.kind === 'failed' && codeOf(this.linkState.error) === 'daemon-unresponsive';
  }

  /** Waits until a daemon that is alive answers again or has ended. Its jobs continue in the meantime. */
  private async awaitAnswer(): Promise<void> {
    if (this.isAwaited) return;
    this.isAwaited = true;
    while (this.isUnresponsive() && !this.isDisposed) {
      await delay(UNRESPONSIVE_MS);
      await this.join().catch(() => undefined);
    }
    this.isAwaited = false;
    if (this.linkState.kind === 'off') this.options.store.daemonEnded(ENDED, new Date().toISOString());
  }

  private async retry(waits: readonly number[]): Promise<boolean> {
    for (const wait of waits) {
      await delay(wait);
      if (this.isDisposed || this.client !== undefined) return true;
      if ((await this.join().catch(() => undefined)) !== undefined) return true;
    }
    return false;
  }
}

/** True if nothing answers at the address, so a local daemon can be started. */
export const isDaemonMissing = (error: unknown): boolean => ['daemon-missing', 'daemon-gone'].includes(codeOf(error));

/** The code of an error. Compared instead of the class, because each bundle has its own copy of it. */
const codeOf = (error: unknown): string => (typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '');
