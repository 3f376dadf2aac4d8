/** Tests the tools of agents: their arguments on the command line, and package.json, which lists the same tools for the editor. */
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { agentToolNames, agentTools, argumentsOf, inputSchemaOf } from '../../../trainer/catalog/agent-tools.ts';
import { readJson } from '../../support/files/read-json.ts';

const resolved = (file: string): string => `/w/${file}`;

describe('arguments', () => {
  test.each([
    ['lint_recipe', { recipe: 'a.yaml' }, ['lint', '/w/a.yaml']],
    ['estimate_memory', { recipe: 'a.yaml', overrides: ['r=8', 'max_length=64'] }, ['estimate', '/w/a.yaml', 'r=8', 'max_length=64']],
    ['list_runs', {}, ['runs']],
    ['read_metrics', { run: 'runs/a', last: 5 }, ['metrics', '/w/runs/a', '--last', '5']],
    ['compare_runs', { runs: ['a', 'b'] }, ['compare', '/w/a', '/w/b']],
    ['stop_run', { run: 'a' }, ['runs', '--stop', '/w/a']],
  ] as const)('of %s', (name, input, expected) => {
    expect(argumentsOf(name, input, resolved)).toEqual(expected);
  });

  test.each([
    ['lint_recipe', {}, 'lint_recipe: recipe must be text, but is missing'],
    ['lint_recipe', { recipe: 'a', fix: true }, "lint_recipe has no parameter 'fix'; it takes recipe"],
    ['explain_diagnostic', { code: '--help' }, 'explain_diagnostic: code must not begin with a hyphen'],
    ['compare_runs', { runs: 'a' }, 'compare_runs: runs must be a list'],
    ['read_metrics', { run: 'a', last: 0.5 }, 'read_metrics: last must be a whole number from 1'],
  ] as const)('of %s are refused: %j', (name, input, message) => {
    expect(() => argumentsOf(name, input, resolved)).toThrow(message);
  });
});

test('package.json lists these tools, with their descriptions and inputs', () => {
  const form = z.object({ contributes: z.object({ languageModelTools: z.array(z.record(z.string(), z.unknown())) }) });
  const { contributes } = readJson(path.join(import.meta.dirname, '../../../package.json'), form);
  const listed = contributes.languageModelTools.map(({ name, displayName, modelDescription, inputSchema }) => ({
    name,
    displayName,
    modelDescription,
    inputSchema,
  }));
  expect(listed).toEqual(
    agentToolNames.map(name => ({
      name: `rowtune_${name}`,
      displayName: agentTools[name].title,
      modelDescription: agentTools[name].description,
      inputSchema: inputSchemaOf(agentTools[name]),
    })),
  );
});
