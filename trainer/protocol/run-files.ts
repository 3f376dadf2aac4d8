/** Names of the files of a run. It imports nothing, as the editor reads it in every window that opens. */

/** Everything that a run writes, by its name in the folder. The lock and state.json are not in this list. */
export const RUN_FILES = {
  /** The recipe with every default filled in. */
  recipe: 'recipe.yaml',
  log: 'log.txt',
  /** Of a run that ended here before its first update, and that this run replaced. */
  earlierLog: 'log.earlier.txt',
  metrics: 'metrics.jsonl',
  /** Which modules are trained, how many rows of each. */
  coverage: 'coverage.json',
  /** Module → its trained rows. */
  selection: 'selection.json',
  /** What the run was predicted to take, and what the process took before it. */
  memory: 'memory.json',
  /** The newest evaluation during training, and that of the untouched model. */
  evaluation: 'evaluation.json',
  scores: 'scores.safetensors',
  checkpoints: 'checkpoints',
  summary: 'summary.json',
} as const;

/** A complete checkpoint; what is half written or half deleted has another name. */
export const CHECKPOINT_NAME = /^step-\d+$/;
