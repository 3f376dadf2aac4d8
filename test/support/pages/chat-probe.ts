/** An extension that uses models like the editor's chat, and writes the results to a file of the workspace. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createVSIX } from '@vscode/vsce';
import { makeTemporaryFolder } from '../machine/temporary-folder.ts';

/** The title of its command in the palette. */
export const ASK_MODELS = 'Chat Probe: Ask the Models';
/**
 * The file that it writes in one operation: the models, the answer of the first one, and whether a second answer ended when it was
 * canceled.
 */
export const ANSWERS = 'answers.json';

const MANIFEST = {
  name: 'chat-probe',
  displayName: 'Chat Probe',
  description: 'Asks the models of the chat',
  publisher: 'test',
  version: '1.0.0',
  license: 'Apache-2.0',
  engines: { vscode: '^1.100.0' },
  extensionKind: ['workspace'],
  main: './main.js',
  activationEvents: [],
  contributes: { commands: [{ command: 'chatProbe.ask', title: ASK_MODELS }] },
};

const MAIN = `
const { commands, lm, workspace, window, Uri, LanguageModelChatMessage, CancellationTokenSource } = require('vscode');
exports.activate = context => context.subscriptions.push(commands.registerCommand('chatProbe.ask', async () => {
  const models = await lm.selectChatModels({ vendor: 'rowtune' });
  const described = models.map(({ name, vendor, family, maxInputTokens }) => ({ name, vendor, family, maxInputTokens }));
  const found = { models: described };
  try {
    const [model] = models;
    const messages = [LanguageModelChatMessage.User('lunch at 7')];
    found.tokens = await model.countTokens('lunch at 7');
    const ask = async (token, onText) => {
      const answer = await model.sendRequest(messages, { modelOptions: { max_tokens: 8 } }, token);
      for await (const chunk of answer.text) onText(chunk);
    };
    found.text = '';
    await ask(new CancellationTokenSource().token, chunk => { found.text += chunk; });
    const source = new CancellationTokenSource();
    const answering = ask(source.token, () => undefined).then(() => 'no error', String);
    source.cancel();
    found.canceled = await answering;
  } catch (error) {
    found.error = String(error);
  }
  const [folder] = workspace.workspaceFolders;
  const [whole, part] = ['', '.part'].map(ending => Uri.joinPath(folder.uri, '${ANSWERS}' + ending));
  await workspace.fs.writeFile(part, new TextEncoder().encode(JSON.stringify(found)));
  await workspace.fs.rename(part, whole, { overwrite: true });
}));
`;

/** Returns the path of its package. */
export async function packChatProbe(): Promise<string> {
  const folder = path.join(makeTemporaryFolder(), 'chat-probe');
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify(MANIFEST));
  writeFileSync(path.join(folder, 'main.js'), MAIN);
  writeFileSync(path.join(folder, 'LICENSE'), 'Apache-2.0');
  writeFileSync(path.join(folder, 'README.md'), 'Asks the models of the chat.');
  const packagePath = path.join(path.dirname(folder), 'chat-probe.vsix');
  await createVSIX({ cwd: folder, packagePath, dependencies: false, allowMissingRepository: true });
  return packagePath;
}
