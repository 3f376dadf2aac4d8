/** Reports the loading of weights in bytes, with the total known from the start; a later load starts again. */
import type { Job } from '../job/job.ts';

/** @returns a function that takes the number of bytes read and the total */
export function loadProgress(job: Job): (done: number, total: number) => void {
  let report: ((done: number) => void) | undefined;
  return (done, total) => {
    report ??= job.progress('load', total, 'bytes');
    report(done);
    if (done === total) report = undefined;
  };
}
