/** How the tests run: everything but what needs a GPU, each file in a process of its own. */
import { configDefaults, defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // They need a GPU, or Mesa's software one: ROWTUNE_TEST_GPU=1 npm test
    exclude: [...configDefaults.exclude, ...(process.env.ROWTUNE_TEST_GPU ? [] : ['test/gpu/**'])],
    pool: 'forks',
    // Programs are compiled and trained for real, on machines that do other things too.
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
