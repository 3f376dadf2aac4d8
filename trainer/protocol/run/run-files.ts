/** Names of the files of a run. Imports nothing, because every editor window loads it. */

export const STATE_FILE = 'state.json';

/** Every file of a run, except its lock and its state. */
export const RUN_FILES = {
  /** The recipe with every default filled in. */
  recipe: 'recipe.yaml',
  log: 'log.txt',
  /** Files of an earlier run in this folder that ended before its first update and was replaced by this run. */
  earlierLog: 'log.earlier.txt',
  metrics: 'metrics.jsonl',
  /** The same metrics as event files, with `report_to: tensorboard`. */
  tensorboard: 'tensorboard',
  /** The ids of the run at MLflow and Trackio. */
  trackers: 'trackers.json',
  /** The trained modules, with the number of trained rows. */
  coverage: 'coverage.json',
  /** The trained rows of each module. */
  selection: 'selection.json',
  /** The predicted memory of the run, and the memory of the process before the run. */
  memory: 'memory.json',
  /** The newest evaluation during training, and that of the original model. */
  evaluation: 'evaluation.json',
  /** Every answer to a held-out prompt with its checks, one evaluation after the other. */
  answers: 'answers.jsonl',
  scores: 'scores.safetensors',
  /** The log-probabilities of the answers under the base model. */
  reference: 'reference.safetensors',
  /** The predictions of the teacher for the training and the held-out samples. */
  teacherTrain: 'teacher.train.safetensors',
  teacherHeld: 'teacher.held.safetensors',
  /** The logs and metrics of the other processes of a run, one folder per process. */
  ranks: 'ranks',
  /** Memory and speed of each process at the newest line of metrics. */
  byRank: 'ranks.json',
  /** The name, tags and note that people gave the run. */
  notes: 'notes.json',
  checkpoints: 'checkpoints',
  summary: 'summary.json',
} as const;

/** A complete checkpoint; incomplete ones have other names. */
export const CHECKPOINT_NAME = /^step-\d+$/;

/** The folder next to a run or sweep that Slurm trains, and the file in it that names the job. */
export const SUBMISSION = { suffix: '.slurm', record: 'job.json' } as const;
