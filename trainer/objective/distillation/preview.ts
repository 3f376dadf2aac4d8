/** The preview of texts for distillation. */
export { previewCausal as preview } from '../causal/causal-preview.ts';
