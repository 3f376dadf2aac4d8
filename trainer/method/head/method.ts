/** Trains only the output head: the usual baseline of transfer learning (linear probing), with the body as a frozen feature extractor. */
import type { Attach, Method } from '../method.ts';
import { wholeModule, withSavedModules } from '../saved-modules.ts';
import { headModules, TargetError } from '../targets.ts';

/** A head that is tied to the embedding is the same tensor, so both change. */
const attachHead: Attach = (model, settings) => {
  const heads = headModules(model).filter(({ part }) => !settings.freeze.includes(part));
  if (heads.length === 0)
    throw new TargetError(
      `the head of this ${model.family} is all that method 'head' trains, and freeze [${settings.freeze.join(', ')}] covers it`,
    );
  return { method: 'head', trainables: heads.flatMap(wholeModule), initial: () => [] };
};

export const method: Method = { attach: withSavedModules(attachHead) };
