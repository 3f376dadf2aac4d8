/** Reads a run from its folder, or through the daemon on the machine that has it. */
import type { RunInfo, TailedFile, TailResult } from '../../trainer/protocol/messages/rpc-messages.ts';
import { readRun } from '../../trainer/rpc/cluster-runs.ts';
import { tailRun } from '../../trainer/rpc/run-reader.ts';
import type { PageServices } from './page-services.ts';

export interface RunSource {
  /** Returns undefined if there is no run. */
  info(): Promise<RunInfo | undefined>;
  tail(file: TailedFile, from: number, version: string): Promise<TailResult>;
}

/** Opens a run. Reading a local run needs no daemon and starts none. */
export function openRunSource(runDir: string, { isRemote, daemon }: Pick<PageServices, 'isRemote' | 'daemon'>): RunSource {
  if (!isRemote()) return { info: () => readRun(runDir), tail: (file, from, version) => tailRun({ runDir, file, from, version }) };
  return {
    info: async () => (await (await daemon()).request('listRuns', { folders: [runDir] })).runs.find(run => run.runDir === runDir),
    tail: async (file, from, version) => (await daemon()).request('tailRun', { runDir, file, from, version }),
  };
}

/** Maximum number of lines of a recipe or a list of modules; far more than the largest model needs. */
const MAX_LINES = 200_000;
const MAX_CHARACTERS = 64 * 2 ** 20;

/** A file that is only ever replaced as a whole; it is read again only after that. */
export class WholeFile {
  private readonly file: TailedFile;
  private lines: string[] = [];
  private version = '';
  private characters = 0;

  constructor(file: TailedFile) {
    this.file = file;
  }

  /** Returns undefined if the file does not exist. */
  async read(source: RunSource): Promise<string | undefined> {
    for (let more = true; more && this.lines.length < MAX_LINES && this.characters < MAX_CHARACTERS; ) {
      const page = await source.tail(this.file, this.lines.length, this.version);
      if (page.rewound) [this.lines, this.characters] = [[], 0];
      for (const line of page.rewound ? [] : page.lines) {
        this.lines.push(line);
        this.characters += line.length;
      }
      this.version = page.rewound ? '' : page.version;
      more = page.more || page.rewound;
    }
    return this.version === '' ? undefined : this.lines.join('\n');
  }
}
