/** Compiles the programs of a run before its weights fill the device. */
import type { Session } from '../../engine/engine.ts';
import type { Program } from '../../graph/program.ts';
import type { Job } from '../../job/job.ts';

/** Compiles every signature of a run's program, because all will be used. Does nothing on an engine that compiles without the device. */
export async function compileAhead(session: Pick<Session, 'compileAhead'>, { signatures }: Program, job: Job): Promise<void> {
  if (!session.compileAhead) return;
  const names = Object.keys(signatures);
  const progress = job.progress('compile', names.length, 'programs');
  for (const [i, name] of names.entries()) {
    job.checkStop();
    await session.compileAhead(name, job.signal);
    progress(i + 1, name);
  }
}
