/** The steps that fix an error, as buttons of notifications and items of views: their labels, and the commands that they run. */
import type { ToolName } from '../../trainer/catalog/tools.ts';
import { COMMANDS } from '../commands/command-ids.ts';

export interface RemedyEntry {
  readonly label: string;
  readonly command: string;
  readonly args?: readonly unknown[];
}

const openSetting = (query: string): RemedyEntry => ({ label: 'Open Setting', command: COMMANDS.openSettings, args: [query] });

/** The steps that are commands. */
const commandEntries = {
  installEngine: { label: 'Install Engine', command: COMMANDS.installEngine },
  installImages: { label: 'Install Image Library', command: COMMANDS.installEngine, args: ['images' satisfies ToolName] },
  showDaemonLog: { label: 'Show Daemon Log', command: COMMANDS.showDaemonLog },
  openNodeSetting: openSetting('rowtune.node'),
  openTrainerSetting: openSetting('rowtune.trainerPath'),
  openUrlSetting: openSetting('rowtune.daemon'),
  enterToken: { label: 'Enter Token', command: COMMANDS.setDaemonToken },
  restartDaemon: { label: 'Restart Daemon', command: COMMANDS.restartDaemon },
  startDaemon: { label: 'Start Daemon', command: COMMANDS.startDaemon },
  reconnect: { label: 'Connect Again', command: COMMANDS.startDaemon },
  showProblems: { label: 'Show Problems', command: 'workbench.actions.view.problems' },
  doctor: { label: 'Run Doctor', command: COMMANDS.doctor },
  manageTrust: { label: 'Manage Trust', command: 'workbench.trust.manage' },
} as const satisfies Readonly<Record<string, RemedyEntry>>;

/** The other steps open the output, or the recipe of the error. */
const otherEntries = { showLog: { label: 'Show Log' }, openRecipe: { label: 'Open Recipe' } } as const;

export type Remedy = keyof typeof commandEntries | keyof typeof otherEntries;

export const remedies: Readonly<Record<Remedy, Pick<RemedyEntry, 'label'> & Partial<RemedyEntry>>> = { ...commandEntries, ...otherEntries };

/** An item of a view that could not be loaded: a step that fixes the error. */
export interface RemedyItem extends RemedyEntry {
  readonly remedy: Remedy;
}

/** The steps of an error that a view can offer: those that are commands. */
export const remedyItems = (names: readonly Remedy[]): readonly RemedyItem[] =>
  names.flatMap(remedy => {
    const { command, ...entry } = remedies[remedy];
    return command === undefined ? [] : [{ ...entry, command, remedy }];
  });
