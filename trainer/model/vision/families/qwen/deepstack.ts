/** The blocks of Qwen3-VL's tower whose states also become vectors, if the config leaves them out. */
export const QWEN3_VL_DEEPSTACK: readonly number[] = [8, 16, 24];
