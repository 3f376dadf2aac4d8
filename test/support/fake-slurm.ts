/** A `squeue` that answers from files: the answers of Slurm in a test of what is shown of them. The real one is in slurm-node.ts. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { SUBMISSION } from '../../trainer/protocol/run-files.ts';

export interface FakeSlurm {
  /** The user's tasks: number, state, reason, nodes and partition, with | between them. */
  setTasks(...tasks: readonly string[]): void;
  /** The numbers of the jobs that wait for each partition, in order. */
  setWaiting(...ids: readonly string[]): void;
  /** Makes a folder look as if it had been submitted. */
  submit(folder: string, id: string): void;
  remove(): void;
}

/** Comes first in the PATH of this process until it is removed. */
export function fakeSlurm(folder: string): FakeSlurm {
  const bin = join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  const [tasks, waiting] = [join(bin, 'tasks'), join(bin, 'waiting')];
  const write = (file: string, lines: readonly string[]): void => writeFileSync(file, lines.map(line => `${line}\n`).join(''));
  write(tasks, []);
  write(waiting, []);
  writeFileSync(
    join(bin, 'squeue'),
    `#!/bin/sh\ncase "$*" in *--me*) cat '${tasks}';; *--partition=*) cat '${waiting}';; *) exit 1;; esac\n`,
    {
      mode: 0o755,
    },
  );
  const before = process.env.PATH;
  process.env.PATH = `${bin}${delimiter}${before}`;
  return {
    setTasks: (...lines) => write(tasks, lines),
    setWaiting: (...ids) => write(waiting, ids),
    submit: (of, id) => {
      const at = `${of}${SUBMISSION.suffix}`;
      mkdirSync(at, { recursive: true });
      writeFileSync(join(at, SUBMISSION.record), JSON.stringify({ id, submittedAt: new Date().toISOString() }));
      writeFileSync(join(at, `log-${id}.txt`), 'hello from the job\n');
    },
    remove: () => {
      process.env.PATH = before;
      rmSync(bin, { recursive: true });
    },
  };
}
