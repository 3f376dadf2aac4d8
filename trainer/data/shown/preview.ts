/** Shows samples as the model sees them, with trained text between ⟦ and ⟧, for the log of a run. */
import type { List } from '../tokens/example-store.ts';
import type { Example, TextTokenizer } from '../types.ts';
import { withoutRepeats } from './token-texts.ts';

export interface PreviewSettings {
  readonly samples: number;
  /** Maximum number of tokens to show; a longer sample shows its two ends. */
  readonly maxTokens: number;
}

/** One block of text per sample: its position in the data, its length, then its text, decoded from its ids. */
export function previewExamples(examples: List<Example>, tokenizer: TextTokenizer, settings: PreviewSettings): string {
  return Array.from({ length: Math.min(settings.samples, examples.length) }, (_, index) => examples.at(index))
    .filter(example => example !== undefined)
    .map(example => previewExample(example, tokenizer, settings.maxTokens))
    .join('\n\n');
}

function previewExample(example: Example, tokenizer: TextTokenizer, maxTokens: number): string {
  const { file, line, ids, train } = example;
  const targets = train.reduce((sum, flag) => sum + flag, 0);
  const title = `— ${file}:${line}, ${ids.length} tokens, ${targets} trained`;
  const half = Math.floor(maxTokens / 2);
  if (ids.length <= maxTokens) return `${title}\n${markTrained(example, 0, ids.length, tokenizer)}`;
  const start = markTrained(example, 0, half, tokenizer);
  const end = markTrained(example, ids.length - half, ids.length, tokenizer);
  return `${title}\n${start} … [${ids.length - 2 * half} tokens] … ${end}`;
}

/** The text of the tokens from `start` to `end`, with each trained stretch between ⟦ and ⟧. */
function markTrained({ ids, train }: Example, start: number, end: number, tokenizer: TextTokenizer): string {
  let text = '';
  for (let from = start; from < end; ) {
    let to = from + 1;
    while (to < end && train[to] === train[from]) to++;
    const part = withoutRepeats(tokenizer.decode([...ids.subarray(from, to)], { skipSpecialTokens: false }));
    text += train[from] === 1 ? `⟦${part}⟧` : part;
    from = to;
  }
  return text;
}
