/** The preview of texts to train on. */
export { previewCausal as preview } from '../causal/causal-preview.ts';
