/** The library that decodes images. The packaged extension does not include it, so it may be in the cache folder. */
import { toolCommand } from '../../catalog/tools.ts';
import { messageOf } from '../../protocol/error-facts.ts';

export type ImageLibrary = typeof import('sharp').default;

/** Images are needed, and the library that decodes them is not installed or does not load. */
export class ImageLibraryError extends Error {
  override name = 'ImageLibraryError';
}

let load = async (): Promise<ImageLibrary> => (await import('sharp')).default;
let loaded: ImageLibrary | undefined;

/** Sets how this process finds the library: only the entry of a process knows the cache folder. */
export function setImageLibrary(find: () => Promise<ImageLibrary>): void {
  load = find;
  loaded = undefined;
}

/** Loads the image library; after a failure, the next call tries again. @throws ImageLibraryError with the command that installs it */
export async function imageLibrary(): Promise<ImageLibrary> {
  try {
    loaded ??= await load();
    return loaded;
  } catch (error) {
    const reason = messageOf(error).split('\n')[0];
    throw new ImageLibraryError(
      `the library that decodes images is not installed or does not load here (${reason}): run "${toolCommand('images')}"`,
      { cause: error },
    );
  }
}

/** True if the image library loads. */
export const decodesImages = (): Promise<boolean> =>
  imageLibrary().then(
    () => true,
    () => false,
  );
