/**
 * Slurm commands that answer from files, for tests of what is displayed and requested. A submitted job waits until it is canceled. The real
 * Slurm is in slurm-node.ts.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { SUBMISSION } from '../../../trainer/protocol/run/run-files.ts';

export interface FakeSlurm {
  /** Sets the user's tasks: number, state, reason, nodes and partition, separated by |. */
  setTasks(...tasks: readonly string[]): void;
  /** Sets the numbers of the jobs that wait for each partition, in order. */
  setWaiting(...ids: readonly string[]): void;
  /** Returns the scripts of the jobs submitted with its `sbatch`, which are numbered from 101. */
  scripts(): readonly string[];
  /** Makes a folder look submitted. */
  submit(folder: string, id: string): void;
  remove(): void;
}

/** Creates the commands, which come first in this process's PATH until they are removed. */
export function fakeSlurm(folder: string): FakeSlurm {
  const bin = join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  const [tasks, waiting] = [join(bin, 'tasks'), join(bin, 'waiting')];
  const write = (file: string, lines: readonly string[]): void => writeFileSync(file, lines.map(line => `${line}\n`).join(''));
  write(tasks, []);
  write(waiting, []);
  const submitted = join(bin, 'submitted');
  write(submitted, []);
  const program = (name: string, script: string): void => writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  program(
    'squeue',
    `case "$*" in *--me*) cat '${tasks}';; *--partition=*) cat '${waiting}';; *--jobs=*) id="\${*##*--jobs=}"; grep "^\${id%% *}|" '${tasks}' || true;; *) exit 1;; esac`,
  );
  program(
    'sbatch',
    `for script; do :; done; echo "$script" >> '${submitted}'; id=$((100 + $(wc -l < '${submitted}'))); echo "$id|PENDING|Resources||gpu" >> '${tasks}'; echo $id >> '${waiting}'; echo $id`,
  );
  program('scancel', `for id; do :; done; for list in '${tasks}' '${waiting}'; do sed -i "/^$id\\(|\\|$\\)/d" "$list"; done`);
  const before = process.env.PATH;
  process.env.PATH = `${bin}${delimiter}${before}`;
  return {
    setTasks: (...lines) => write(tasks, lines),
    setWaiting: (...ids) => write(waiting, ids),
    scripts: () =>
      readFileSync(submitted, 'utf8')
        .split('\n')
        .filter(line => line !== '')
        .map(script => readFileSync(script, 'utf8')),
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
