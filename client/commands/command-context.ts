/** The dependencies of the commands. */
import type { App } from '../app.ts';
import type { ServerControl } from '../language-client.ts';
import type { ReportView } from '../report-view.ts';
import type { Views } from '../views/views.ts';

export interface CommandContext {
  readonly app: App;
  readonly views: Views;
  readonly server: ServerControl;
  readonly reports: ReportView;
}
