/** Says why a written answer is empty or incomplete. */
import type { GenerateResult } from '../../handlers/generate-result.ts';

/** A remark for people about a result of `generate`; undefined for a whole answer, and for labels and vectors. */
export function answerNote({ entities, labels, nearest, ids, finishReason }: GenerateResult): string | undefined {
  if ([entities, labels, nearest].some(found => found !== undefined)) return undefined;
  if (finishReason === 'max_new_tokens')
    return `The answer is cut at ${ids.length === 1 ? '1 token' : `${ids.length} tokens`}. For a longer one, raise --max-new-tokens.`;
  if (finishReason === 'max_positions') return 'The answer is cut: prompt and answer have as many tokens as the model has positions.';
  return ids.length === 0 ? 'The model ended its answer at once.' : undefined;
}
