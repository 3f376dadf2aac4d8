/** What methods have in common, as sets of their names. */

/** Methods that choose rows by importance. */
export const rowMethods: ReadonlySet<string> = new Set(['spsft', 'spsft+lora']);
/** Methods that choose what they train by scores: rows, or single elements. */
export const scoringMethods: ReadonlySet<string> = new Set([...rowMethods, 'rosa']);
/** Methods with a product of two factors that is scaled by lora_alpha / r. */
export const loraMethods: ReadonlySet<string> = new Set(['lora', 'dora', 'rosa', 'spsft+lora']);
/** Methods with a low-rank product of any kind. */
export const rankMethods: ReadonlySet<string> = new Set([...loraMethods, 'vera']);
