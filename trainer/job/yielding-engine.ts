/**
 * An engine that lets the process receive messages between its runs: TensorFlow blocks the thread, and so would a loop
 * over it.
 */
import type { Engine } from '../engine/engine.ts';
import type { Job } from './job.ts';

export const yieldingEngine = (engine: Engine, job: Job): Engine => ({
  ...engine,
  compile: async (program, options) => {
    await job.yieldToEvents();
    const session = await engine.compile(program, options);
    const { runEach } = session;
    return {
      runsAhead: session.runsAhead,
      load: values => session.load(values),
      read: variable => session.read(variable),
      readAll: variables => session.readAll(variables),
      dispose: () => session.dispose(),
      run: async (signature, feeds) => {
        await job.yieldToEvents();
        return session.run(signature, feeds);
      },
      ...(runEach && {
        runEach: async (signature, feeds) => {
          await job.yieldToEvents();
          return runEach.call(session, signature, feeds);
        },
      }),
    };
  },
});
