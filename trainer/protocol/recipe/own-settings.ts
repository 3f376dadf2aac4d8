/** The settings that say whose run it is and where it is kept: they do not affect its result. */
export const ownSettings: readonly string[] = ['name', 'output_dir', 'overwrite_output_dir'];
