/** The time that a run spent in updates, without the pauses between a stop and a resume. */

/** Sums up lines of metrics, in order. A line has the mean seconds per update since the previous line. */
export class TrainingTime {
  private total = 0;
  private trainedStep = 0;

  /** Number of seconds up to the newest line. */
  get seconds(): number {
    return this.total;
  }

  /** Adds a line; one without both numbers does not describe updates and is skipped. */
  add({ step = Number.NaN, seconds = Number.NaN }: { readonly step?: number | undefined; readonly seconds?: number | undefined }): void {
    if (!Number.isFinite(step) || !Number.isFinite(seconds)) return;
    this.total += seconds * Math.max(0, step - this.trainedStep);
    this.trainedStep = step;
  }
}
