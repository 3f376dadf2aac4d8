/** The time that a run spent in updates, without pauses between a stop and a resume. */

/** Adds up lines of metrics in their order. A line has the mean seconds of the updates since the line before it. */
export class TrainingTime {
  private total = 0;
  private trainedStep = 0;

  /** Seconds up to the newest line. */
  get seconds(): number {
    return this.total;
  }

  /** A line without both numbers is not one of updates. */
  add({ step = Number.NaN, seconds = Number.NaN }: { readonly step?: number | undefined; readonly seconds?: number | undefined }): void {
    if (!Number.isFinite(step) || !Number.isFinite(seconds)) return;
    this.total += seconds * Math.max(0, step - this.trainedStep);
    this.trainedStep = step;
  }
}
