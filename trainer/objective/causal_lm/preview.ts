/** The preview of texts to write. */
export { previewCausal as preview } from '../causal/causal-preview.ts';
