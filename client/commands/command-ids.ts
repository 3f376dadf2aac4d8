/** The id of every command. package.json gives each a title; a test keeps both in sync. */
export const COMMANDS = {
  startTraining: 'rowtune.startTraining',
  train: 'rowtune.train',
  startSweep: 'rowtune.startSweep',
  compareSweep: 'rowtune.compareSweep',
  exportSweep: 'rowtune.exportSweep',
  resume: 'rowtune.resume',
  stop: 'rowtune.stop',
  abort: 'rowtune.abort',
  importance: 'rowtune.importance',
  openHeatmap: 'rowtune.openHeatmap',
  openRun: 'rowtune.openRun',
  openLastRun: 'rowtune.openLastRun',
  compareRuns: 'rowtune.compareRuns',
  evaluate: 'rowtune.evaluate',
  tryModel: 'rowtune.try',
  exportRun: 'rowtune.export',
  pushExport: 'rowtune.push',
  estimate: 'rowtune.estimate',
  previewData: 'rowtune.previewData',
  newRecipe: 'rowtune.newRecipe',
  doctor: 'rowtune.doctor',
  installEngine: 'rowtune.installEngine',
  setHubToken: 'rowtune.setHubToken',
  startDaemon: 'rowtune.daemon.start',
  stopDaemon: 'rowtune.daemon.stop',
  restartDaemon: 'rowtune.daemon.restart',
  showDaemonLog: 'rowtune.daemon.showLog',
  setDaemonToken: 'rowtune.daemon.setToken',
  startServer: 'rowtune.server.start',
  stopServer: 'rowtune.server.stop',
  restartServer: 'rowtune.server.restart',
  showServerLog: 'rowtune.server.showLog',
  showStatus: 'rowtune.showStatus',
  refreshRuns: 'rowtune.runs.refresh',
  deleteRun: 'rowtune.runs.delete',
  renameRun: 'rowtune.runs.rename',
  tagRun: 'rowtune.runs.tag',
  noteRun: 'rowtune.runs.note',
  pinRun: 'rowtune.runs.pin',
  archiveRun: 'rowtune.runs.archive',
  openSelectedRun: 'rowtune.runs.openSelected',
  openRunRecipe: 'rowtune.runs.openRecipe',
  openRunLog: 'rowtune.runs.openLog',
  openRunFolder: 'rowtune.runs.openFolder',
  refreshModels: 'rowtune.models.refresh',
  refreshDevices: 'rowtune.devices.refresh',
} as const;

export type CommandName = keyof typeof COMMANDS;

/** The argument that a menu, a lens, a view or the palette passes to a command. */
export type CommandHandler = (...args: readonly unknown[]) => unknown;

/** The commands of one topic. Registration does not compile unless all topics together cover every command. */
export type CommandTable<Names extends CommandName> = Readonly<Record<Names, CommandHandler>>;
