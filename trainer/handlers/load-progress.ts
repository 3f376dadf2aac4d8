/** Reports the loading of weights in bytes and heeds a stop request; a later load starts again with a total of its own. */
import type { Job } from '../job/job.ts';

/** @returns a function that takes the number of bytes read and the total. It throws RunError 'stopped' */
export function loadProgress(job: Job): (done: number, total: number) => void {
  let report: ((done: number) => void) | undefined;
  return (done, total) => {
    job.checkStop();
    report ??= job.progress('load', total, 'bytes');
    report(done);
    if (done === total) report = undefined;
  };
}
