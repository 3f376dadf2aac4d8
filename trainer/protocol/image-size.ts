/** The size of images for language models that read images of any size. */

/** The default of `data.image_max_pixels`, 768 × 768: 576 vectors of Qwen3.5. LLaMA-Factory has the same. */
export const IMAGE_MAX_PIXELS = 589_824;
