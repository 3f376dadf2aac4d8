/** Tests that the instructions for agents name every setting and every tool. */
import { expect, test } from 'vitest';
import { type AgentTool, agentTools } from '../../../trainer/catalog/agent-tools.ts';
import { agentsPage } from '../../../trainer/cli/agents-page.ts';
import { settings } from '../../../trainer/protocol/recipe/recipe-schema.ts';

const page = agentsPage();

test('every setting has a line with its type, default and sentence', () => {
  for (const [path, { doc }] of Object.entries(settings))
    expect(
      page.split('\n').filter(line => line.startsWith(`- \`${path}\`: `) && line.endsWith(doc)),
      path,
    ).toHaveLength(1);
  expect(page).toContain('- `learning_rate`: ');
  expect(page).not.toMatch(/undefined|\[object/);
});

test('every tool is listed with its command, and with "Ask the user first." if it changes something', () => {
  for (const { command, changes } of Object.values<AgentTool>(agentTools)) {
    const [line = ''] = page.split('\n').filter(each => each.startsWith(`- \`rowtune ${command.join(' ')}`));
    expect(line.endsWith('Ask the user first.'), line).toBe(changes !== undefined);
  }
});
