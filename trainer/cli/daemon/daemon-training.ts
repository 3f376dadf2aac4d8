/** Training as a job of the daemon, followed to its end or detached. */
import type { JobRecord, RequestParams } from '../../protocol/messages/rpc-messages.ts';
import { shellWord } from '../../protocol/text/shell-word.ts';
import type { DaemonClient } from '../../rpc/connection/connect.ts';
import type { CommandContext, CommandResult } from '../command.ts';
import { pathWord, shownPath } from '../job-command.ts';
import { ensureDaemon } from './daemon-client.ts';
import { followJob } from './run-on-daemon.ts';

export type TrainingStart =
  | { readonly name: 'train'; readonly params: RequestParams<'train'> }
  | { readonly name: 'resume'; readonly params: RequestParams<'resume'> }
  | { readonly name: 'sweep'; readonly params: RequestParams<'sweep'> };

function start(client: DaemonClient, { name, params }: TrainingStart): Promise<JobRecord> {
  if (name === 'train') return client.request('train', params);
  return name === 'resume' ? client.request('resume', params) : client.request('sweep', params);
}

const RESUME_COMMANDS: Readonly<Record<TrainingStart['name'], string>> = { train: 'resume', resume: 'resume', sweep: 'sweep' };

/** Returns the value of the result, as `runWorker` does. Closes the client. */
export async function trainOnDaemon({ terminal, cwd }: CommandContext, client: DaemonClient, what: TrainingStart): Promise<unknown> {
  try {
    const job = await start(client, what);
    terminal.say('info', `running on the daemon (process ${client.server.pid}); use --no-daemon to run it in this process`);
    const resumeCommand = job.runDir === undefined ? undefined : `rowtune ${RESUME_COMMANDS[what.name]} ${pathWord(job.runDir, cwd)}`;
    return await followJob({ client, job, terminal, onInterrupt: 'stop', resumeCommand });
  } finally {
    client.close();
  }
}

/** Returns as soon as the job is recorded: it runs independently of this command. */
export async function detachTraining(context: CommandContext, what: TrainingStart): Promise<CommandResult> {
  const { terminal, cwd } = context;
  const { client } = await ensureDaemon(context);
  try {
    const { id, state, runDir = '' } = await start(client, what);
    const folder = shownPath(runDir, cwd);
    terminal.print(
      [
        `${state === 'queued' ? 'queued' : 'started'} on the daemon (process ${client.server.pid}); it continues after this terminal is closed`,
        `  run folder  ${folder}`,
        `  job         ${id}`,
        `  follow      rowtune runs --follow ${shellWord(folder)}`,
        `  stop        rowtune runs --stop ${shellWord(folder)}`,
        '  all jobs    rowtune daemon status',
      ].join('\n'),
    );
    return { value: { ok: true, detached: true, id, runDir, state, pid: client.server.pid } };
  } finally {
    client.close();
  }
}
