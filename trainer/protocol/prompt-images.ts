/** Images of a prompt as a client sends them: data URLs, which work with a daemon on another machine, or paths on its machine. */
import { byteSize } from './text/format.ts';

/** The maximum number of images of one prompt. */
export const MAX_PROMPT_IMAGES = 16;

/** The maximum size of all images of one prompt: a few photographs. Base64 adds a third, and a message of the daemon holds that. */
export const MAX_PROMPT_IMAGE_BYTES = 20e6;

/** The formats that both a page of the editor and the trainer read. */
export const PROMPT_IMAGE_TYPES = ['image/png', 'image/jpeg', 'image/webp', 'image/gif'] as const;

const IMAGE_URL = /^data:image\/[\w.+-]+;base64,/;

export const isImageUrl = (text: string): boolean => IMAGE_URL.test(text);

/** The base64 text of the bytes in a data URL. */
export const base64Of = (url: string): string => url.slice(url.indexOf(',') + 1);

/** The number of bytes of an image in a data URL. */
export function imageBytes(url: string): number {
  const text = base64Of(url);
  return Math.floor((text.length * 3) / 4) - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0);
}

/** Says why a prompt cannot have images of these sizes; undefined if it can. */
export function imagesProblem(sizes: readonly number[]): string | undefined {
  if (sizes.length > MAX_PROMPT_IMAGES) return `A prompt can have at most ${MAX_PROMPT_IMAGES} images.`;
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  if (bytes <= MAX_PROMPT_IMAGE_BYTES) return undefined;
  const most = byteSize(MAX_PROMPT_IMAGE_BYTES);
  return `The images of a prompt can have at most ${most} in total; these have ${byteSize(bytes)}. Use fewer or smaller images.`;
}
