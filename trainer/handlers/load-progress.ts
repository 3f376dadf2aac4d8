/** Reports the loading of weights, whose number is known with the first one; a later load begins anew. */
import type { Job } from '../job/job.ts';

export function loadProgress(job: Job): (done: number, total: number) => void {
  let report: ((done: number) => void) | undefined;
  return (done, total) => {
    report ??= job.progress('load', total, 'tensors');
    report(done);
    if (done === total) report = undefined;
  };
}
