/** The work of a thread; the process itself uses the same function. */
import { createTokenizer } from '../../format/tokenizer/tokenizer.ts';
import { chatRendererOf } from '../chat/chat-renderer.ts';
import { recordChecker, sampleDecider } from '../lazy/decide/keeps-target.ts';
import { labeledDecider } from '../lazy/decide/labeled-decider.ts';
import { type ScannedSegment, scanSegment } from '../lazy/scan-segment.ts';
import type { LabeledThreadData, ThreadData, ThreadWork, TokenThreadData } from './thread-messages.ts';
import { recordTokenizer, type TokenizedRecords } from './tokenize-records.ts';

type Work = (work: ThreadWork) => TokenizedRecords | ScannedSegment;

/** Returns a function that does the work. @throws DataError from that function, for a problem that does not belong to a single record */
export const threadWork = (data: ThreadData): Work => ('form' in data ? labeledWork(data) : tokenWork(data));

function labeledWork({ form, lines }: LabeledThreadData): Work {
  const decider = labeledDecider(form);
  return work => {
    if ('records' in work) throw new TypeError('records to tokenize for a thread that has no tokenizer');
    return scanSegment(work.segment, lines, decider, work.chosen);
  };
}

function tokenWork({ tokenizer: input, now, settings, lines }: TokenThreadData): Work {
  const tokenizer = createTokenizer(input);
  const tools = { tokenizer, chatRenderer: chatRendererOf(tokenizer, () => new Date(now)) };
  const tokenize = recordTokenizer(settings, tools);
  const decider = lines && sampleDecider(settings, tools);
  const checker = recordChecker(settings);
  return work => {
    if ('records' in work) return tokenize(work.records);
    if (lines === undefined || decider === undefined) throw new TypeError('a segment for a thread that has no settings of lines');
    return scanSegment(work.segment, lines, work.isCheck ? checker : decider, work.chosen);
  };
}
