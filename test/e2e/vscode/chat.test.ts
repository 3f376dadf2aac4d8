/** Tests a run in the chat of a real editor: another extension finds it among the models, queries it, and cancels an answer. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../support/machine/until.ts';
import { ANSWERS, ASK_MODELS, packChatProbe } from '../../support/pages/chat-probe.ts';
import { START_MS, shownState } from './long-run.ts';
import { describeEditor } from './session.ts';

const RECIPE = 'model: model\nr: 8\ndata: { train: train.jsonl, prompt: "{text}:" }\nmax_length: 48\nmax_steps: 2\n';
/** True if the editor has the interface, which the oldest supported one lacks. */
const hasChat = process.env.ROWTUNE_TEST_EDITOR !== 'oldest';

describeEditor(
  'chat',
  ({ folder }) => writeFileSync(join(folder, 'talk.rowtune.yaml'), RECIPE),
  session => {
    test('a run is a model of the chat, which answers, counts tokens and can be canceled', async () => {
      const workbench = await session().open('chat');
      await workbench.openFile('talk.rowtune.yaml');
      await workbench.runCommandUntil('Rowtune: Train This Recipe', workbench.tab('Run: talk'));
      await until(async () => (await shownState(workbench)) === 'finished', 'it is finished', START_MS);
      const file = join(session().task.folder, ANSWERS);
      await workbench.runCommand(ASK_MODELS);
      await until(() => existsSync(file), 'the models have answered', START_MS);
      const found = JSON.parse(readFileSync(file, 'utf8'));
      if (!hasChat) return expect(found.models).toEqual([]);
      expect(found).toEqual({
        models: [{ name: 'talk', vendor: 'rowtune', family: 'llama', maxInputTokens: 32 }],
        tokens: 10,
        text: expect.stringMatching(/./),
        canceled: 'Canceled: Canceled',
      });
      await workbench.runCommandOn('Rowtune: Archive or Restore Run', 'talk');
      await until(
        async () => {
          rmSync(file, { force: true });
          await workbench.runCommand(ASK_MODELS);
          await until(() => existsSync(file), 'the models are listed again');
          return JSON.parse(readFileSync(file, 'utf8')).models.length === 0;
        },
        'an archived run is no model',
        START_MS,
      );
    });
  },
  { settings: { 'chat.disableAIFeatures': false }, extensions: [await packChatProbe()] },
);
