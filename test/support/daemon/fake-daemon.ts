/** A connection to a daemon that answers from a table. */
import {
  PROTOCOL_VERSION,
  type RequestName,
  type RequestParams,
  type RequestResult,
} from '../../../trainer/protocol/messages/rpc-messages.ts';
import type { DaemonClient } from '../../../trainer/rpc/connection/connect.ts';

type Answers = {
  readonly [Name in RequestName]: (params: RequestParams<Name>) => RequestResult<Name> | Promise<RequestResult<Name>>;
};

/** @param answers by request; every other request is rejected */
export function fakeDaemon(answers: Partial<Answers>): DaemonClient {
  const answerTo = <Name extends RequestName>(name: Name): Answers[Name] => {
    const answer: Answers[Name] | undefined = answers[name];
    if (answer === undefined) throw new Error(`this daemon has no answer to ${name}`);
    return answer;
  };
  return {
    server: { protocol: PROTOCOL_VERSION, version: '0', pid: 1, startedAt: '', capabilities: { requests: Object.keys(answers) }, seq: 0 },
    request: async <Name extends RequestName>(name: Name, params: RequestParams<Name>) => await answerTo(name)(params),
    on: () => () => undefined,
    onProgress: () => () => undefined,
    exit: async () => undefined,
    close: () => undefined,
    closed: new Promise(() => undefined),
  };
}
