/** Shows the texts to compare as training reads them: the anchor first, then its positive and hard negatives. */
import { drawStream } from '../draw.ts';
import { createSegmentEncoder } from '../example/segment-encoder.ts';
import { listDataFiles } from '../read/list-files.ts';
import { describeGroupColumns, groupSamples, type LoadGroupsInput, promptedTexts } from '../text-groups/load-groups.ts';
import type { Shown } from './show-labeled.ts';
import { type SampleToShow, ShownProblems, samplesToShow } from './shown-sample.ts';
import { MORE_TOKENS, shownSequence } from './shown-sequence.ts';

/** @throws DataError if the first sample lacks a column */
export async function* showGroups(input: LoadGroupsInput & Shown): AsyncGenerator<SampleToShow> {
  const { form, prompts, maxLength, maxSamples: count, seed, tokenizer, onFormat } = input;
  const files = await listDataFiles(input.paths);
  const encoder = createSegmentEncoder(input.tokenizer);
  const problems = new ShownProblems();
  const samples = groupSamples(input, files, {
    problems,
    onFirst: columns => onFormat?.('text groups', describeGroupColumns(columns, form)),
  });
  yield* samplesToShow(drawStream(samples, { count, seed }), problems, {
    placeOf: sample => sample,
    show: ({ texts, score }) => ({
      ...(form.maxScore !== undefined && { labels: [String(score)] }),
      sequences: promptedTexts(texts, prompts).map(text => {
        const { ids, truncated } = encoder.encode(text, undefined, maxLength);
        const whole = truncated ? encoder.encode(text, undefined, maxLength + MORE_TOKENS) : undefined;
        const cut = whole && { whole: [{ kept: ids.length, ids: whole.ids }], cutsMore: whole.truncated };
        return shownSequence({ ids, trains: () => false, ...cut }, tokenizer);
      }),
    }),
  });
}
