/**
 * Configures how tests run: all of them, but those that need a GPU only on request. Files share processes, because loading the modules again
 * would take longer than most of their tests; a few have a process each. Files that mostly wait, for an editor or for processes of ours, run
 * one at a time: `npm test` runs them next to the others.
 */
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { workerEnvironment } from './trainer/engine/tensorflow/environment.ts';
import { LATE_OPTIMIZING } from './trainer/machine/late-optimizing.ts';

const IN_EDITOR = 'test/e2e/vscode/**';

/** They start daemons, workers, servers and commands, and wait for them. */
const WAITING = [
  'test/boundary/{client,lsp,rpc}/**/*.test.ts',
  'test/boundary/{processes,processes-{in-order,lost},slurm,sweep-processes,worker}.long.test.ts',
  'test/e2e/cli/**/*.test.ts',
];

/** By scripts/screenshots.mjs, which takes pictures rather than testing. */
const DEMO = process.env.ROWTUNE_SCREENSHOT_DEMO;

/** Files of about a quarter of a minute or more on two cores have this in their names. */
const LONG = '.long.test.ts';
/** `npm test` without `--all` leaves them out. */
const NOT_ASKED_FOR = process.env.ROWTUNE_TEST_QUICK ? [`**/*${LONG}`] : [];

/** It compiles for minutes where nothing was compiled before, on a core of its own. */
const LONGEST = 'cards.long.test.ts';

/** The project of files with a process each. */
const ALONE_PROJECT = 'alone';

/**
 * Runs the longest files first, then the largest: a long file that began last would leave the other cores idle. A fresh clone knows only how
 * long files are. Files with a process each come before all others, because vitest ends a shared process if the next file is one of them.
 */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification): number => {
      if (project.name === ALONE_PROJECT) return 0;
      if (moduleId.endsWith(LONGEST)) return 1;
      return moduleId.endsWith(LONG) ? 2 : 3;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

/** Files with a process each. */
const ALONE = [
  // TensorFlow takes its number of threads from the environment when it is loaded.
  'test/unit/engine/native/columns.test.ts',
  'test/unit/engine/native/expert-products.test.ts',
  'test/unit/engine/native/few-rows.test.ts',
  'test/unit/engine/native/products.test.ts',
  'test/unit/engine/tensorflow-session.long.test.ts',
  'test/unit/train/wide-step.long.test.ts',
  // They have a program of their own in the PATH: Slurm, and nvidia-smi, whose GPU a process remembers.
  'test/unit/rpc/cluster-runs.test.ts',
  'test/unit/engine/doctor.test.ts',
  // It replaces a module.
  'test/unit/plan/run-plan.test.ts',
  // It measures the memory of its process.
  'test/unit/model/weight-memory.test.ts',
  // Drivers of GPUs end with the process.
  'test/gpu/**/*.test.ts',
  // libtpu starts a timer that sends signals to its process.
  'test/golden/tpus.long.test.ts',
];

/** They need a GPU, or Mesa's software one: `npm test -- --all`, or ROWTUNE_TEST_GPU=1 npm test */
const ON_GPU = process.env.ROWTUNE_TEST_GPU ? [] : ['test/gpu/**'];

/** Vitest leaves one core idle by default. No test here asserts a time, and memory is measured a process at a time. */
const maxWorkers = availableParallelism();

export default defineConfig({
  test: {
    pool: 'forks',
    setupFiles: ['test/support/set-up.ts'],
    // As in a worker; TensorFlow reads it when it is loaded.
    env: { TF_ENABLE_ONEDNN_OPTS: workerEnvironment({ threads: 1 }).TF_ENABLE_ONEDNN_OPTS },
    // Tensors and graphs die young: with the 1 to 16 MB of Node, collecting them takes a tenth of a training's time. Most functions run for a
    // short time: optimizing them later saves a tenth of the time of all cores.
    execArgv: ['--min-semi-space-size=16', '--max-semi-space-size=64', ...LATE_OPTIMIZING],
    sequence: { sequencer: LongFirst },
    // Programs are compiled and trained for real, on machines that do other things too: the limit ends only what hangs.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 60_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: ALONE_PROJECT,
          include: ALONE,
          exclude: [...configDefaults.exclude, ...NOT_ASKED_FOR, ...ON_GPU],
          maxWorkers,
        },
      },
      {
        extends: true,
        test: {
          name: 'shared',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...NOT_ASKED_FOR, ...ALONE, ...WAITING, IN_EDITOR],
          isolate: false,
          maxWorkers,
        },
      },
      {
        extends: true,
        test: {
          name: 'editor',
          include: [`${IN_EDITOR}/*.test.ts`],
          globalSetup: ['scripts/vscode/setup.mjs'],
          // A browser, an editor and a training share the machine.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          testTimeout: 300_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'waiting',
          include: WAITING,
          exclude: [...configDefaults.exclude, ...NOT_ASKED_FOR],
          isolate: false,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      ...(DEMO === undefined
        ? []
        : [
            {
              extends: true as const,
              test: {
                name: 'screenshots',
                include: ['test/e2e/vscode/screenshots.ts'],
                globalSetup: ['scripts/vscode/setup.mjs'],
                provide: { demo: JSON.parse(DEMO) },
                testTimeout: 300_000,
              },
            },
          ]),
    ],
  },
});
