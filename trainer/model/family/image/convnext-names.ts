/** The names of a ConvNeXt's tensors in files of Transformers and of timm. */

export interface ConvNextNames {
  readonly stem: { readonly conv: string; readonly norm: string };
  /** The layers that halve the image before a stage. */
  readonly downsample: (stage: number) => { readonly norm: string; readonly conv: string };
  readonly layer: (stage: number, layer: number) => LayerNames;
  readonly finalNorm: string;
  readonly head: string;
}

export interface LayerNames {
  readonly conv: string;
  readonly norm: string;
  readonly up: string;
  readonly response: string;
  readonly down: string;
  /** The full name of the tensor. */
  readonly scale: string;
}

export const transformersNames = (prefix: string): ConvNextNames => ({
  stem: { conv: `${prefix}embeddings.patch_embeddings`, norm: `${prefix}embeddings.layernorm` },
  downsample: stage => {
    const at = `${prefix}encoder.stages.${stage}.downsampling_layer`;
    return { norm: `${at}.0`, conv: `${at}.1` };
  },
  layer: (stage, layer) => {
    const at = `${prefix}encoder.stages.${stage}.layers.${layer}`;
    return {
      conv: `${at}.dwconv`,
      norm: `${at}.layernorm`,
      up: `${at}.pwconv1`,
      response: `${at}.grn`,
      down: `${at}.pwconv2`,
      scale: `${at}.layer_scale_parameter`,
    };
  },
  finalNorm: `${prefix}layernorm`,
  head: 'classifier',
});

/** @param prefix empty in timm's own files; `timm_model.` in files of Transformers' wrapper */
export const timmNames = (prefix: string): ConvNextNames => ({
  stem: { conv: `${prefix}stem.0`, norm: `${prefix}stem.1` },
  downsample: stage => {
    const at = `${prefix}stages.${stage}.downsample`;
    return { norm: `${at}.0`, conv: `${at}.1` };
  },
  layer: (stage, layer) => {
    const at = `${prefix}stages.${stage}.blocks.${layer}`;
    return {
      conv: `${at}.conv_dw`,
      norm: `${at}.norm`,
      up: `${at}.mlp.fc1`,
      response: `${at}.mlp.grn`,
      down: `${at}.mlp.fc2`,
      scale: `${at}.gamma`,
    };
  },
  finalNorm: `${prefix}head.norm`,
  head: `${prefix}head.fc`,
});
