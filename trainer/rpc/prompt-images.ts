/**
 * Moves the images of a request into files of the cache, named by their content: the queue is written to the disk with every change, so its
 * requests must stay small.
 */
import { keepImage, visionFolder } from '../files/kept-image.ts';
import { isRecord } from '../narrow.ts';
import type { ConversationMessage, GenerateRequest } from '../protocol/messages/job-messages.ts';
import { base64Of, isImageUrl } from '../protocol/prompt-images.ts';

/** The request with the path of a file in place of each data URL. */
export async function withImageFiles<Request extends Pick<GenerateRequest, 'images' | 'conversation'>>(
  request: Request,
  cacheDir: string,
): Promise<Request> {
  const { images, conversation } = request;
  const folder = visionFolder(cacheDir);
  const fileOf = async (image: string): Promise<string> =>
    isImageUrl(image) ? (await keepImage(Buffer.from(base64Of(image), 'base64'), folder)).file : image;
  const messageOf = async (message: ConversationMessage): Promise<ConversationMessage> => {
    const { content } = message;
    return Array.isArray(content) ? { ...message, content: await Promise.all(content.map(part => partOf(part, fileOf))) } : message;
  };
  return {
    ...request,
    ...(images && { images: await Promise.all(images.map(fileOf)) }),
    ...(conversation && { conversation: { ...conversation, messages: await Promise.all(conversation.messages.map(messageOf)) } }),
  };
}

async function partOf(part: unknown, fileOf: (image: string) => Promise<string>): Promise<unknown> {
  const url = imageUrlOf(part);
  return url === undefined ? part : { type: 'image', image: await fileOf(url) };
}

/** The data URL of a part of a message, in our form or OpenAI's; undefined if it has none. */
export function imageUrlOf(part: unknown): string | undefined {
  if (!isRecord(part)) return undefined;
  const { image, image_url: given } = part;
  const urls = part.type === 'image' ? [image] : part.type === 'image_url' ? [given, isRecord(given) ? given.url : undefined] : [];
  return urls.find((url): url is string => typeof url === 'string' && isImageUrl(url));
}
