/** The names of a residual network's tensors in files of Transformers and of timm (and torchvision). */

export interface ConvNames {
  readonly conv: string;
  readonly norm: string;
}

export interface ResNetNames {
  readonly stem: ConvNames;
  readonly head: string;
  /** Convolution `index` of a layer of a stage; stages and layers count from 0. */
  readonly conv: (stage: number, layer: number, index: number) => ConvNames;
  readonly shortcut: (stage: number, layer: number) => ConvNames;
}

const transformersPair = (at: string): ConvNames => ({ conv: `${at}.convolution`, norm: `${at}.normalization` });

export const transformersNames = (prefix: string): ResNetNames => ({
  stem: transformersPair(`${prefix}embedder.embedder`),
  head: 'classifier.1',
  conv: (stage, layer, index) => transformersPair(`${prefix}encoder.stages.${stage}.layers.${layer}.layer.${index}`),
  shortcut: (stage, layer) => transformersPair(`${prefix}encoder.stages.${stage}.layers.${layer}.shortcut`),
});

/** @param prefix empty in timm's own files; `timm_model.` in files of Transformers' wrapper */
export const timmNames = (prefix: string): ResNetNames => {
  const at = (stage: number, layer: number) => `${prefix}layer${stage + 1}.${layer}`;
  return {
    stem: { conv: `${prefix}conv1`, norm: `${prefix}bn1` },
    head: `${prefix}fc`,
    conv: (stage, layer, index) => ({ conv: `${at(stage, layer)}.conv${index + 1}`, norm: `${at(stage, layer)}.bn${index + 1}` }),
    shortcut: (stage, layer) => ({ conv: `${at(stage, layer)}.downsample.0`, norm: `${at(stage, layer)}.downsample.1` }),
  };
};
