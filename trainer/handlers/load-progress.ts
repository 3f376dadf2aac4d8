/** Reports the loading of weights in bytes, whose total is known when it begins; a later load begins anew. */
import type { Job } from '../job/job.ts';

/** @returns takes the bytes that are read, and all of them */
export function loadProgress(job: Job): (done: number, total: number) => void {
  let report: ((done: number) => void) | undefined;
  return (done, total) => {
    report ??= job.progress('load', total, 'bytes');
    report(done);
    if (done === total) report = undefined;
  };
}
