/** Where a run is read from: its folder where this machine has it, else the daemon, which may run elsewhere. */
import { stat } from 'node:fs/promises';
import type { RunInfo, TailedFile, TailResult } from '../../trainer/protocol/rpc-messages.ts';
import { readRun, tailRun } from '../../trainer/rpc/run-reader.ts';
import type { PageServices } from './page-services.ts';

export interface RunSource {
  /** Undefined where there is no run. */
  info(): Promise<RunInfo | undefined>;
  tail(file: TailedFile, from: number, version: string): Promise<TailResult>;
}

/** A finished run needs no daemon; it is read from its files, and so is one that another program trains. */
export async function openRunSource(runDir: string, services: Pick<PageServices, 'daemon'>): Promise<RunSource> {
  const isHere = await stat(runDir).then(
    found => found.isDirectory(),
    () => false,
  );
  if (isHere) return { info: () => readRun(runDir), tail: (file, from, version) => tailRun({ runDir, file, from, version }) };
  return {
    info: async () => {
      const daemon = await services.daemon();
      return (await daemon.request('listRuns', { folders: [runDir] })).find(run => run.runDir === runDir);
    },
    tail: async (file, from, version) => (await services.daemon()).request('tailRun', { runDir, file, from, version }),
  };
}

/** A recipe or a list of modules; far more than the largest model needs. */
const MAX_LINES = 200_000;

/** A file that is written whole, read again only where it has been replaced. */
export class WholeFile {
  private readonly file: TailedFile;
  private lines: string[] = [];
  private version = '';

  constructor(file: TailedFile) {
    this.file = file;
  }

  /** Undefined where there is none. */
  async read(source: RunSource): Promise<string | undefined> {
    for (let more = true; more && this.lines.length < MAX_LINES; ) {
      const page = await source.tail(this.file, this.lines.length, this.version);
      if (page.rewound) this.lines = [];
      else this.lines.push(...page.lines);
      this.version = page.rewound ? '' : page.version;
      more = page.more || page.rewound;
    }
    return this.version === '' ? undefined : this.lines.join('\n');
  }
}
