/** The answers to held-out prompts of a run, by evaluation. */
import type { AnswersPatch, AnswerView } from '../../trainer/protocol/view/run.ts';

/** Maximum number of answers kept; beyond it, early evaluations are dropped, except the first. */
const MAX_KEPT = 20_000;

export class WrittenAnswers {
  private readonly bySteps = new Map<number, AnswerView[]>();
  private count = 0;

  append({ reset, answers }: AnswersPatch): void {
    if (reset) {
      this.bySteps.clear();
      this.count = 0;
    }
    for (const { step, ...answer } of answers) {
      const known = this.bySteps.get(step);
      if (known) known.push(answer);
      else this.bySteps.set(step, [answer]);
      this.count++;
    }
    for (const step of this.steps.slice(1, -1)) {
      if (this.count <= MAX_KEPT) break;
      this.count -= this.at(step).length;
      this.bySteps.delete(step);
    }
  }

  /** The steps of the evaluations, in order. */
  get steps(): number[] {
    return [...this.bySteps.keys()];
  }

  at(step: number): readonly AnswerView[] {
    return this.bySteps.get(step) ?? [];
  }
}
