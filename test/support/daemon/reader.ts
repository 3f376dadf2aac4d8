/** Answers the requests to a reader process in this process. */
import type { AskReader } from '../../../trainer/reader/reader.ts';
import {
  type ReaderAnswerOf,
  type ReaderParamsOf,
  type ReaderRequestName,
  readerRequests,
} from '../../../trainer/reader/reader-requests.ts';

type Answers = {
  readonly [Name in ReaderRequestName]: (params: ReaderParamsOf<Name>) => ReaderAnswerOf<Name> | PromiseLike<ReaderAnswerOf<Name>>;
};
const answers: Answers = readerRequests;

export const readHere: AskReader = {
  ask: async <Name extends ReaderRequestName>(name: Name, params: ReaderParamsOf<Name>) => {
    const answer: ReaderAnswerOf<Name> | PromiseLike<ReaderAnswerOf<Name>> = answers[name](params);
    return answer;
  },
};
