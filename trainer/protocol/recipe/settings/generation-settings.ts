/** Settings of answers that are generated and checked during an evaluation. */
import { answerChecks } from '../../../catalog/answer-checks.ts';
import { choicesOf } from '../../../catalog/entries.ts';
import { refusePattern } from '../../text/linear-pattern.ts';
import { defaulted, FAIR_SWEEP, group, optional } from '../setting.ts';
import { choice, integer, listOf, modelName, text } from '../value-type.ts';

/** Maximum length of a regular expression. */
const MAX_PATTERN = 1000;

export const generationGroup = group('Answers to held-out prompts that the model writes in every evaluation, and how they are checked.', {
  checks: defaulted(listOf(choice(choicesOf(answerChecks)), 'a check or a list of checks'), [], {
    fixedInSweep: FAIR_SWEEP,
    doc: 'Each evaluation also has the model answer held-out prompts, greedily, and reports how its answers do: as `eval_exact_match`, `eval_json` and so on, before, during and after training.',
    memory:
      'A cache of keys and values for the longest prompt with its answer, for as many as are answered at the same time (`per_device_eval_batch_size`), in the type of `dtype`.',
  }),
  reward_model: optional(modelName('run folder, model folder or hub name'), {
    fixedInSweep: FAIR_SWEEP,
    doc: 'A reward model that scores every answer, with the chat template and the tokenizer of its own: a run of the task `reward`, or a model with a head of one number. Each evaluation reports the mean reward as `eval_reward`, and compares it with that of the answers of the original model (`eval_reward_gain`, `eval_reward_win_rate`).',
    memory: 'It is loaded only while it scores, in the element type of the run, next to the weights of the run.',
  }),
  pattern: optional(text({ noun: 'regular expression', maxLength: MAX_PATTERN, refuse: refusePattern }), {
    fixedInSweep: FAIR_SWEEP,
    doc: 'The regular expression of the check `pattern`, in the syntax of JavaScript without look-around and back-references. It may match anywhere: ^ and $ hold it to the whole answer.',
  }),
  max_samples: defaulted(integer({ min: 1, max: 10_000 }), 16, {
    fixedInSweep: FAIR_SWEEP,
    doc: 'The number of held-out prompts that are answered. If there are more, some are drawn, the same in every evaluation.',
  }),
  max_new_tokens: defaulted(integer({ min: 1, max: 4096 }), 64, {
    fixedInSweep: FAIR_SWEEP,
    doc: 'The most tokens of an answer; it ends there if the model has not ended it.',
  }),
});
