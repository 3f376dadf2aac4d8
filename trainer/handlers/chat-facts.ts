/** The job 'chat': reads the properties of a model that a chat needs from its headers and its tokenizer. No engine is opened. */
import { chatRendererOf } from '../data/chat/chat-renderer.ts';
import { answerForms } from '../generate/answer-parts.ts';
import type { JobScope } from '../job/job-scope.ts';
import { openModelFolder } from '../job/open-base.ts';
import { openVision } from '../job/open-vision.ts';
import { causalModel } from '../model/load-model.ts';
import type { JobRequest } from '../protocol/messages/job-messages.ts';
import type { ChatFacts } from '../protocol/messages/rpc-messages.ts';

export interface ChatResult extends ChatFacts {
  /** The number of tokens of each text. */
  readonly tokens: readonly number[];
}

/** @throws ModelFileError or ModelConfigError for a model that cannot be read or does not generate text */
export async function chatJob(request: Extract<JobRequest, { kind: 'chat' }>, scope: JobScope): Promise<ChatResult> {
  const folder = await openModelFolder(scope, request);
  try {
    const model = causalModel(folder.config);
    const { family, maxPositions } = model;
    const tokenizer = await folder.loadTokenizer();
    const renderer = chatRendererOf(tokenizer);
    const tokens = request.texts.map(text => tokenizer.encode(text, { addSpecialTokens: false }).length);
    const callsTools = renderer !== undefined && answerForms(renderer, tokenizer).form !== undefined;
    const readsImages = (await openVision(folder, model)) !== undefined;
    return { family, positions: maxPositions, callsTools, readsImages, tokens };
  } finally {
    await folder.weights.close();
  }
}
