/** The export `merged`: a whole Hugging Face folder that any tool can load. */

import { mergedTypeNames } from '../../catalog/artifacts.ts';
import { isOneOf } from '../../catalog/entries.ts';
import { poolingIn } from '../../format/sentence-modules.ts';
import { openModel } from '../../hub/open-model.ts';
import { isTimmFile, loadModel } from '../../model/load-model.ts';
import { chosenSize } from '../../model/model-spec.ts';
import type { Artifact } from '../artifact.ts';
import { ExportError } from '../export-error.ts';
import { smokeIds } from '../smoke-test.ts';
import { checkWritten } from './check-written.ts';
import { type MergedParams, mergedBytes, tunedTypes, writeMerged } from './merged-folder.ts';

export const artifact: Artifact = (opened, { type = 'base', onEvent }) => {
  if (!isOneOf(mergedTypeNames, type))
    throw new ExportError(`${type} is not a type of a merged folder; these are: ${mergedTypeNames.join(', ')}`);
  const merged: MergedParams = {
    ...opened,
    type,
    onTensor: (done, total) => onEvent?.({ type: 'progress', phase: 'export', done, total, unit: 'tensors' }),
  };
  return {
    bytes: mergedBytes(merged),
    write: dir => writeMerged(dir, merged),
    reopen: dir => reopenMerged(dir, merged),
    isRounded: [...tunedTypes(merged)].some(dtype => dtype === 'BF16' || dtype === 'F16'),
    ...(isTimmFile(opened.folder.config) && { library: 'timm' }),
  };
};

/** Opens the folder again. @throws ExportError for a tensor that differs from the merged one, or a tokenizer from the base's */
async function reopenMerged(dir: string, params: MergedParams) {
  const { model, tokenizer } = params;
  const folder = await openModel(dir);
  const close = () => folder.weights.close();
  try {
    const isEmbedder = model.kind === 'classifier' && model.pooling !== undefined;
    const imageSize = model.kind === 'classifier' ? chosenSize(model.input) : undefined;
    const head = isEmbedder ? { problem: model.problem, pooling: poolingIn(folder) } : {};
    const copy = loadModel(folder.config, { ...head, ...(imageSize && { imageSize }) });
    await checkWritten(params, { model: copy, weights: folder.weights });
    if (tokenizer) {
      const found = await folder.loadTokenizer();
      const isSame = smokeIds(copy, found).join() === smokeIds(model, tokenizer).join() && found.eosIds.join() === tokenizer.eosIds.join();
      if (!isSame)
        throw new ExportError('the tokenizer or chat template of the export is not the base’s: report this with the name of the base');
    }
    return { model: copy, weights: folder.weights, close };
  } catch (error) {
    await close();
    throw error;
  }
}
