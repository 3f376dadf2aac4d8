/** An engine that lets the process receive messages between its runs: TensorFlow blocks the thread, and so would a loop of its runs. */
import type { Engine, Session } from '../engine/engine.ts';
import type { Job } from './job.ts';

/** A session with every member named, so that none is forgotten: undefined if the engine lacks it. */
type WholeSession = { readonly [Member in keyof Required<Session>]: Session[Member] };

export const yieldingEngine = (engine: Engine, job: Job): Engine => ({
  ...engine,
  compile: async (program, options) => {
    await job.yieldToEvents();
    return yieldingSession(await engine.compile(program, options), job);
  },
});

function yieldingSession(session: Session, job: Job): WholeSession {
  const { runEach, compileAhead } = session;
  return {
    runsAhead: session.runsAhead,
    coder: session.coder,
    load: values => session.load(values),
    read: variable => session.read(variable),
    readAll: variables => session.readAll(variables),
    dispose: () => session.dispose(),
    compileAhead: compileAhead && ((signature, signal) => compileAhead.call(session, signature, signal)),
    run: async (signature, feeds) => {
      await job.yieldToEvents();
      return session.run(signature, feeds);
    },
    runEach:
      runEach &&
      (async (signature, feeds) => {
        await job.yieldToEvents();
        return runEach.call(session, signature, feeds);
      }),
  };
}
