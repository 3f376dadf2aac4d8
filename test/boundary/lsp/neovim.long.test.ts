/** The language server in a real Neovim without a screen, with the configuration in the docs: problems, a quick fix, hover, completion. */
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { ensureProgram } from '../../../scripts/vscode/programs.mjs';
import { required } from '../../../trainer/narrow.ts';
import { messageOf } from '../../../trainer/protocol/error-facts.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const root = path.join(import.meta.dirname, '..', '..', '..');

/** Performs the steps of a user and prints what the editor shows as JSON. */
const SESSION = `
local function session()
  vim.cmd.edit('typo.rowtune.yaml')
  local buffer = vim.api.nvim_get_current_buf()
  local function until_(what, holds) assert(vim.wait(120000, holds, 50), what .. ' did not come') end
  local function codes()
    return vim.tbl_map(function(found) return found.code end, vim.diagnostic.get(buffer))
  end
  local function line(number) return vim.api.nvim_buf_get_lines(buffer, number - 1, number, true)[1] end
  until_('diagnostics', function() return #codes() > 0 end)
  local before = codes()
  vim.api.nvim_win_set_cursor(0, { 3, 2 })
  vim.lsp.buf.code_action({ apply = true, filter = function(action) return action.isPreferred == true end })
  until_('the fix', function() return line(3) == 'max_length: 48' end)
  until_('an end of the problems', function() return #codes() == 0 end)
  local function ask(method, position)
    local document = { uri = vim.uri_from_bufnr(buffer) }
    local answers = vim.lsp.buf_request_sync(buffer, method, { textDocument = document, position = position }, 120000)
    return vim.tbl_values(answers)[1].result
  end
  local hover = ask('textDocument/hover', { line = 2, character = 3 })
  vim.api.nvim_buf_set_lines(buffer, -1, -1, true, { 'learning_r' })
  local last = vim.api.nvim_buf_line_count(buffer) - 1
  local completion = ask('textDocument/completion', { line = last, character = 10 })
  local labels = vim.tbl_map(function(item) return item.label end, completion.items or completion)
  return { before = before, hover = hover.contents.value, labels = labels }
end
local ok, result = pcall(session)
io.stdout:write(vim.json.encode(ok and result or { failure = result }))
vim.cmd('qall!')
`;

function findNeovim(): { readonly nvim: string } | { readonly missing: string } {
  try {
    return { nvim: ensureProgram({ names: ['nvim'], packages: ['neovim'] }) };
  } catch (error) {
    return { missing: messageOf(error) };
  }
}

const found = findNeovim();
if ('missing' in found) {
  if (process.env.CI) test('Neovim', () => expect.fail(found.missing));
  else describe.skip(`Neovim (${found.missing})`, () => test('shows problems', () => expect.fail(found.missing)));
} else {
  const task = makeTinyTask();
  afterAll(() => rmSync(task.folder, { recursive: true, force: true }));

  test('Neovim shows problems and help by the configuration in the docs, and repairs a recipe', async () => {
    const guide = readFileSync(path.join(root, 'docs', 'how-to', 'other-editors.md'), 'utf8');
    const write = (name: string, text: string): string => {
      writeFileSync(path.join(task.folder, name), text);
      return path.join(task.folder, name);
    };
    const config = write('config.lua', required(/```lua\n(.*?)```/s.exec(guide)?.[1], 'the configuration'));
    const session = write('session.lua', SESSION);
    write('typo.rowtune.yaml', 'model: model\nr: 8\nmax_lenght: 48\ndata: { train: train.jsonl, prompt: "{text}:" }\n');
    mkdirSync(path.join(task.folder, 'bin'));
    chmodSync(write('bin/rowtune', `#!/bin/sh\nexec "${process.execPath}" "${path.join(root, 'bin', 'rowtune.mjs')}" "$@"\n`), 0o755);
    const env = { ...process.env, HOME: task.folder, PATH: `${path.join(task.folder, 'bin')}${path.delimiter}${process.env.PATH}` };
    const args = ['--headless', '-n', '-u', config, '-c', `luafile ${session}`];
    const { stdout } = await promisify(execFile)(found.nvim, args, { cwd: task.folder, env });
    expect(JSON.parse(stdout)).toEqual({
      before: expect.arrayContaining(['unknown-key']),
      hover: expect.stringContaining('max_length'),
      labels: expect.arrayContaining(['learning_rate']),
    });
  });
}
