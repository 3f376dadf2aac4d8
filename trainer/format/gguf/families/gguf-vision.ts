/**
 * The text parts of models that read images, where llama.cpp has an architecture of its own for them. In a text, all three positions of a
 * token are the same, so the text part is read as the decoder that computes the same without images.
 */
import { type GgufFamily, MTP_BLOCKS, plain } from './gguf-family.ts';

/** The key for the number of pairs of features that rotate by time, row, column, and by nothing. */
export const GRID_SECTIONS = 'rope.dimension_sections';

/** The key for the number of blocks whose output gets a further set of image vectors. */
export const DEEPSTACK = 'n_deepstack_layers';

/** Qwen2-VL and Qwen2.5-VL, from the description of Qwen 2. */
export const qwen2VlFile = (qwen2: GgufFamily): GgufFamily => ({
  ...qwen2,
  writes: ['Qwen2VLTextModel', 'Qwen2_5_VLTextModel'],
  computed: [...qwen2.computed, GRID_SECTIONS],
  gridPairs: 'in order',
});

/**
 * GLM-4V and GLM-OCR, from the description of GLM-4. With positions on a grid, llama.cpp rotates halves of heads, so the converter splits
 * pairs of neighbors (`conversion/glm.py`).
 */
export const glm4vFile = (glm4: GgufFamily): GgufFamily => ({
  ...glm4,
  writes: ['Glm4vTextModel', 'GlmOcrTextModel'],
  computed: [...glm4.computed, GRID_SECTIONS, MTP_BLOCKS],
  gridPairs: 'in order',
  splitsPairs: true,
});

/** Qwen3-VL, from the description of Qwen 3 with or without experts. */
export const qwen3VlFile = (qwen3: GgufFamily, written: string): GgufFamily => ({
  ...qwen3,
  writes: [written],
  computed: [...qwen3.computed, GRID_SECTIONS, DEEPSTACK],
  gridPairs: 'in turn',
});

/** PaddleOCR-VL. Features rotate in halves, as Llama's do, and llama.cpp has no biases in MLPs. */
export const paddleOcrFile: GgufFamily = {
  ...plain,
  class: 'LlamaForCausalLM',
  modelType: 'llama',
  writes: ['PaddleOCRTextModel'],
  computed: [GRID_SECTIONS],
  gridPairs: 'in order',
  settings: () => ({ hidden_act: 'silu', attention_bias: false }),
};
