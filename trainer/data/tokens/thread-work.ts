/** The work that a thread does for its requests: the same function for a thread and for the process itself. */
import { createTokenizer } from '../../format/tokenizer/tokenizer.ts';
import { chatRendererOf } from '../chat/chat-renderer.ts';
import { recordChecker, sampleDecider } from '../lazy/keeps-target.ts';
import { type ScannedSegment, scanSegment } from '../lazy/scan-segment.ts';
import type { ThreadData, ThreadWork } from './thread-messages.ts';
import { recordTokenizer, type TokenizedRecords } from './tokenize-records.ts';

/** @throws DataError from the function that is returned, for a problem that is of no single record */
export function threadWork({
  tokenizer: input,
  now,
  settings,
  lines,
}: ThreadData): (work: ThreadWork) => TokenizedRecords | ScannedSegment {
  const tokenizer = createTokenizer(input);
  const tools = { tokenizer, chatRenderer: chatRendererOf(tokenizer, () => new Date(now)) };
  const tokenize = recordTokenizer(settings, tools);
  const decide = lines && sampleDecider(settings, tools);
  const check = recordChecker(settings);
  return work => {
    if ('records' in work) return tokenize(work.records);
    if (lines === undefined || decide === undefined) throw new TypeError('a segment for a thread that has no settings of lines');
    return scanSegment(work.segment, lines, work.isCheck ? check : decide, work.chosen);
  };
}
