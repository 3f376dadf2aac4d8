/** Generates instructions for agents that write and train recipes, in the style of an AGENTS.md, from the schema and the tools. */
import { type AgentTool, agentTools } from '../catalog/agent-tools.ts';
import { groups, settings } from '../protocol/recipe/recipe-schema.ts';

const HEAD = `# Fine-tuning with Rowtune

A recipe is one page of YAML named \`*.rowtune.yaml\`. It names a model, data and a method; \`model\`
and \`data.train\` are enough to train.

1. Write the recipe, or let \`rowtune init DATA --model MODEL\` begin one.
2. Run \`rowtune lint RECIPE --json\`. Apply the suggestion of each problem, which replaces the text
   from its line and column to \`endColumn\`. \`rowtune explain CODE\` explains a problem. Repeat until
   \`ok\` is true.
3. Run \`rowtune estimate RECIPE --json\` and compare its total with the free memory.
4. Ask the user. Then run \`rowtune train RECIPE --detach --json\`, which prints the folder of the run.
5. Read the run with the commands below.

Every command takes \`--json\` and prints one JSON object as its last line. \`key=value\` behind a
command overrides a setting of the recipe. The name in parentheses is that of the same tool of
\`rowtune mcp\`.`;

/** Returns the page as Markdown. */
export function agentsPage(): string {
  const tools = Object.entries<AgentTool>(agentTools).map(([name, tool]) => toolLine(name, tool));
  const top = Object.keys(settings).filter(path => !path.includes('.'));
  const grouped = Object.entries(groups).flatMap(([name, { doc }]) => [
    `### ${name}`,
    doc,
    Object.keys(settings)
      .filter(path => path.startsWith(`${name}.`))
      .map(settingLine)
      .join('\n'),
  ]);
  const parts = [HEAD, '## Commands', tools.join('\n'), '## Settings', top.map(settingLine).join('\n'), ...grouped];
  return `${parts.join('\n\n')}\n`;
}

function toolLine(name: string, { command, parameters, options = {}, description, changes }: AgentTool): string {
  const words = Object.entries(parameters).map(([parameter, { isOptional, isList }]) => {
    const word = `${options[parameter] === undefined ? '' : `${options[parameter]} `}${parameter.toUpperCase()}${isList ? '…' : ''}`;
    return isOptional ? `[${word}]` : word;
  });
  return `- \`rowtune ${[...command, ...words].join(' ')}\` (\`${name}\`): ${description}${changes === undefined ? '' : ' Ask the user first.'}`;
}

function settingLine(path: string): string {
  const { type, doc, presence, defaultText } = settings[path] ?? {};
  const fallback = presence === 'required' ? 'required' : defaultText === undefined ? 'no default' : `default ${defaultText}`;
  const words = Object.keys(type?.choices ?? {});
  return `- \`${path}\`: ${words.length > 0 ? `one of ${words.join(', ')}` : type?.name}; ${fallback}. ${doc}`;
}
