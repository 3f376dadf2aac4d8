/**
 * The images of the next question. The host has them, because a hidden page loses its memory; a reload of the window removes them, because
 * they are too large to be kept.
 */
import { imageBytes, imagesProblem } from '../../trainer/protocol/prompt-images.ts';
import type { TryAttached, TryFromPage, TryPicture, TryRound, TryToPage } from '../../trainer/protocol/view/try.ts';

type Attach = Extract<TryFromPage, { type: 'attach' }>;

export function createTryImages(post: (message: TryToPage) => void) {
  let images: readonly (TryAttached & { readonly url: string })[] = [];
  const attached = (): readonly TryAttached[] => images.map(({ url: _, ...shown }) => shown);
  const change = (next: typeof images, problem?: string): void => {
    images = next;
    post({ type: 'attached', attached: attached(), ...(problem !== undefined && { problem }) });
  };
  return {
    attached,
    add({ name, url, thumbnail }: Attach): void {
      const bytes = imageBytes(url);
      const problem = imagesProblem([...images.map(image => image.bytes), bytes]);
      change(problem === undefined ? [...images, { name, url, thumbnail, bytes }] : images, problem);
    },
    remove: (place: number): void => change(images.filter((_, i) => i !== place)),
    /** Takes all images for a question. */
    take(): { readonly urls: readonly string[]; readonly pictures: readonly TryPicture[] } {
      const taken = images;
      if (taken.length > 0) change([]);
      return { urls: taken.map(({ url }) => url), pictures: taken.map(({ name, thumbnail }) => ({ name, thumbnail })) };
    },
  };
}

/** Maximum length of all thumbnails that are kept over a reload. */
const MAX_KEPT_THUMBNAILS = 1_000_000;

/** The questions with the thumbnails of the newest ones; the names of all images stay. */
export function withFewThumbnails(rounds: readonly TryRound[]): readonly TryRound[] {
  let left = MAX_KEPT_THUMBNAILS;
  return rounds
    .toReversed()
    .map(round => {
      if (!round.images) return round;
      left -= round.images.reduce((sum, { thumbnail = '' }) => sum + thumbnail.length, 0);
      return left >= 0 ? round : { ...round, images: round.images.map(({ name }) => ({ name })) };
    })
    .toReversed();
}
