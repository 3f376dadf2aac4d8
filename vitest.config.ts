/**
 * How the tests run: everything, but what needs a GPU only where that is asked for. Files of units and of golden numbers share processes, since
 * loading the modules anew would take longer than most of their tests; all others have a process each. Those that mostly wait, for an editor or
 * for processes of ours, run one at a time: `npm test` runs them next to the others.
 */
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { workerEnvironment } from './trainer/engine/tensorflow/environment.ts';

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

/** The longest first, then the largest: a long file that began last would leave the other cores idle. A fresh clone knows only how long files are. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification): boolean => moduleId.endsWith(LONG);
    const sorted = await super.sort(files);
    const rank = (file: TestSpecification): number => (file.moduleId.endsWith(LONGEST) ? 0 : isLong(file) ? 1 : 2);
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

const SHARED = ['test/unit/**/*.test.ts', 'test/golden/**/*.test.ts'];

/** Units with a process each. */
const ALONE = [
  // They run whole jobs, with engines and data of many kinds.
  'test/unit/handlers/**/*.test.ts',
  // TensorFlow takes its number of threads from the environment when it is loaded.
  'test/unit/engine/native/columns.test.ts',
  'test/unit/engine/native/expert-products.test.ts',
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
    // Tensors and graphs die young: with the 1 to 16 MB of Node, collecting them takes a tenth of a training's time.
    execArgv: ['--min-semi-space-size=16', '--max-semi-space-size=64'],
    sequence: { sequencer: LongFirst },
    // Programs are compiled and trained for real, on machines that do other things too.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'rooms',
          include: ['test/!(unit|golden)/**/*.test.ts', ...ALONE],
          exclude: [...configDefaults.exclude, ...NOT_ASKED_FOR, ...ON_GPU, ...WAITING, IN_EDITOR],
          maxWorkers,
        },
      },
      {
        extends: true,
        test: {
          name: 'units',
          include: SHARED,
          exclude: [...configDefaults.exclude, ...NOT_ASKED_FOR, ...ALONE],
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
