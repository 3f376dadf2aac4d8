/** Sends mutated frames to a real daemon: none may end it or disturb another client, and each must be answered or close the connection. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { SUBPROTOCOL } from '../../trainer/protocol/messages/rpc-messages.ts';
import { connectDaemon, type DaemonClient } from '../../trainer/rpc/connection/connect.ts';
import { readDiscovery } from '../../trainer/rpc/connection/discovery.ts';
import { mutatedFrames } from '../support/daemon/mutate-frames.ts';
import { probeFrame } from '../support/daemon/probe-frame.ts';
import { handshake, isOrder, validFrames } from '../support/daemon/valid-frames.ts';
import { until } from '../support/machine/until.ts';
import { type Case, failed, OK, type Part, type Verdict } from './trial.ts';

const WHOLE = 10_000;
const SAMPLE = 300;
/** Number of frames per case, which has its own connection. */
const BATCH = 100;
const START_MS = 60_000;

export const frames: Part = {
  name: 'frames',
  unit: 'mutated frames',
  async prepare({ root, seed, isSample }) {
    const folder = mkdtempSync(join(tmpdir(), 'rowtune-frames-'));
    const daemon = new RealDaemon(root, folder);
    await daemon.start();
    const all = [...mutatedFrames(validFrames(folder), isSample ? SAMPLE : WHOLE, seed)];
    const cases: Case[] = [];
    for (let start = 0; start < all.length; start += BATCH) {
      const batch = all.slice(start, start + BATCH).filter(frame => !isOrder(frame));
      cases.push({ id: `frames ${start}`, count: batch.length, run: () => attack(daemon, batch) });
    }
    return {
      cases,
      dispose: async () => {
        await daemon.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  },
};

async function attack(daemon: RealDaemon, batch: readonly string[]): Promise<Verdict> {
  let socket: WebSocket | undefined;
  try {
    for (const [place, frame] of batch.entries()) {
      socket ??= await daemon.open();
      const outcome = await probeFrame(socket, frame, `probe-${place}`);
      if (outcome === 'closed') socket = undefined;
      if (daemon.hasEnded) return failed('crashed', `the daemon ended after ${frame.slice(0, 500)}`);
      if (outcome === 'silent') return failed('hung', `no answer after ${frame.slice(0, 500)}`);
    }
    const other = await daemon.other();
    return (await other.request('daemonStatus', {})).pid > 0 ? OK : failed('wrong', 'the daemon tells no process');
  } catch (error) {
    return failed(daemon.hasEnded ? 'crashed' : 'wrong', String(error));
  } finally {
    socket?.terminate();
    if (daemon.hasEnded) await daemon.start();
  }
}

/** The daemon as the command line starts it, with its own state folder. */
export class RealDaemon {
  private readonly root: string;
  readonly stateDir: string;
  private child: ChildProcess | undefined;
  private client: DaemonClient | undefined;

  constructor(root: string, folder: string) {
    this.root = root;
    this.stateDir = join(folder, 'state');
  }

  get hasEnded(): boolean {
    return this.child === undefined || this.child.exitCode !== null || this.child.signalCode !== null;
  }

  async start(): Promise<void> {
    this.child = spawn(process.execPath, [join(this.root, 'bin', 'rowtune.mjs'), 'daemon', 'run'], {
      env: { ...process.env, ROWTUNE_STATE: this.stateDir, HF_HUB_OFFLINE: '1' },
      stdio: 'ignore',
    });
    this.client = undefined;
    await until(async () => (await readDiscovery(this.stateDir))?.pid === this.child?.pid, 'the address of the daemon', START_MS);
  }

  /** Returns a long-lived client that does nothing wrong. */
  async other(): Promise<DaemonClient> {
    this.client ??= await connectDaemon({ stateDir: this.stateDir }, { client: { name: 'other', version: '1' } });
    return this.client;
  }

  async open(): Promise<WebSocket> {
    const found = await readDiscovery(this.stateDir);
    if (!found) throw new Error('the daemon has no address');
    const socket = new WebSocket(`ws://127.0.0.1:${found.port}`, SUBPROTOCOL, { headers: { authorization: `Bearer ${found.token}` } });
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.once('open', () => resolve());
    });
    await probeFrame(socket, JSON.stringify({ jsonrpc: '2.0', id: 'first', method: 'initialize', params: handshake }), 'open');
    return socket;
  }

  async stop(): Promise<void> {
    this.client?.close();
    const { child } = this;
    if (child === undefined || this.hasEnded) return;
    await new Promise<void>(resolve => {
      child.once('exit', () => resolve());
      child.kill('SIGTERM');
      setTimeout(() => child.kill('SIGKILL'), 20_000).unref();
    });
  }
}
