/** The chat template of a model for the linter, with a time limit, because a stranger's template may be slow. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { chatRendererOf } from '../../data/chat/chat-renderer.ts';
import type { ChatRenderer } from '../../data/types.ts';
import { type ImageReading, imageReading } from '../../data/vision/sample-image.ts';
import { readProcessorConfig } from '../../format/image/processor-config.ts';
import { readOptionalConfigFile } from '../../format/model-config.ts';
import { readChatTemplate } from '../../hub/open-model.ts';
import { architectureOf, loadModel } from '../../model/load-model.ts';
import { encoderOf } from '../../model/vision/open-encoder.ts';
import { IMAGE_MAX_PIXELS } from '../../protocol/image-size.ts';

/**
 * Maximum processor time for the samples of one file. The template of SmolLM2 takes 0.1 ms for a question with its answer, and 2 ms for 20
 * of them.
 */
const RENDER_MS = 1000;
/**
 * The chat that exceeds the limit may take up to this multiple of it; then it is abandoned, because a chat with many turns is rendered many
 * times.
 */
const PATIENCE = 3;

/** Thrown for a chat that was abandoned, about which nothing is known. */
class ChatGivenUp extends Error {
  override name = 'ChatGivenUp';
}

/** True if an error about a sample only means that its chat took too long. */
export const isGivenUp = (error: Error): boolean => error.cause instanceof ChatGivenUp;

/** Renders the chats of a file while they are checked. */
export interface TemplateFact {
  /** The renderer for the next sample; undefined for a model without a chat template. */
  readonly renderer: () => ChatRenderer | undefined;
  /** How the model reads images; undefined if it reads none. */
  readonly images?: ImageReading | undefined;
}

/** Stands for an unknown template: checks whether the samples are chats. */
export const plainChat: ChatRenderer = {
  marksGeneration: false,
  mentions: () => true,
  render: ({ messages, tools = [] }) => ({
    text: [...tools, ...messages].map(each => `${everyText(each)}\n`).join(''),
    generated: [],
  }),
};

/** All strings of a value, separated by spaces. */
function everyText(value: unknown): string {
  if (typeof value === 'string') return value;
  return value !== null && typeof value === 'object' ? Object.values(value).map(everyText).join(' ') : '';
}

/**
 * The template of a local model.
 * @param maxPixels see `openVision`
 * @returns undefined if it cannot be read, which is reported as a problem of the model
 */
export async function templateFact(model: string, maxPixels: number = IMAGE_MAX_PIXELS): Promise<TemplateFact | undefined> {
  try {
    const images = await imagesOf(model, maxPixels);
    const renderer = chatRendererOf(await readChatTemplate(model), undefined, images?.placeholder);
    return { renderer: renderer === undefined ? () => undefined : forSomeTime(renderer, RENDER_MS), images };
  } catch {
    return undefined;
  }
}

/** How images of samples are looked at without a model on this machine. */
export const anyImages: ImageReading = { placeholder: '', imageToken: -1, textOf: () => ({ text: '', vectors: 0 }) };

async function imagesOf(dir: string, maxPixels: number): Promise<ImageReading | undefined> {
  const config = (await stat(dir)).isDirectory() ? await readOptionalConfigFile(path.join(dir, 'config.json')) : undefined;
  if (!config || !architectureOf(config)) return undefined;
  const model = loadModel(config);
  if (model.kind !== 'causal' || !model.vision) return undefined;
  const encoder = encoderOf(model, { config, processor: await readProcessorConfig(dir) }, maxPixels);
  return encoder && imageReading(encoder, model.vision.imageToken);
}

/**
 * Returns a function that gives the renderer for the next sample. After the time limit, chats are only checked for fields that the template
 * never mentions.
 */
export function forSomeTime(renderer: ChatRenderer, limitMs: number): () => ChatRenderer {
  let usedMs = 0;
  const render: ChatRenderer['render'] = (chat, options) => {
    if (usedMs >= PATIENCE * limitMs) throw new ChatGivenUp(`its chat takes more than ${PATIENCE * limitMs} ms`);
    const begun = process.cpuUsage();
    try {
      return renderer.render(chat, options);
    } finally {
      const { user, system } = process.cpuUsage(begun);
      usedMs += (user + system) / 1000;
    }
  };
  const [timed, plain] = [
    { ...renderer, render },
    { ...plainChat, mentions: renderer.mentions },
  ];
  return () => (usedMs < limitMs ? timed : plain);
}
