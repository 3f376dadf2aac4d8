/**
 * The MCP server (Model Context Protocol, over stdin and stdout): offers the tools of the catalog to any agent. Reading needs no
 * confirmation; a tool that starts or stops a training first asks the user through the client.
 */
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { CallToolRequestSchema, type CallToolResult, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import manifest from '../../package.json' with { type: 'json' };
import {
  type AgentTool,
  type AgentToolName,
  agentToolNames,
  agentTools,
  inputSchemaOf,
  isAgentToolName,
  warningOf,
} from '../catalog/agent-tools.ts';
import { messageOf } from '../protocol/error-facts.ts';
import { callTool, type ToolResult } from './call-tool.ts';

const allowsChanges = process.argv.includes('--allow-changes');

const server = new Server(
  { name: 'rowtune', version: manifest.version },
  {
    capabilities: { tools: {} },
    instructions:
      'Rowtune fine-tunes models by training a few rows or columns of each weight in place. Write a recipe (YAML), check it with lint_recipe until it has no error, predict its memory with estimate_memory, then start_training.',
  },
);

server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: agentToolNames.map(describe) }));

function describe(name: AgentToolName) {
  const tool: AgentTool = agentTools[name];
  return {
    name,
    title: tool.title,
    description: tool.description,
    inputSchema: inputSchemaOf(tool),
    annotations: { title: tool.title, readOnlyHint: tool.changes === undefined, destructiveHint: false, openWorldHint: false },
  };
}

server.setRequestHandler(
  CallToolRequestSchema,
  async ({ params: { name, arguments: input = {} } }, { signal }): Promise<CallToolResult> => {
    try {
      if (!isAgentToolName(name)) throw new Error(`there is no tool ${name}; there are ${agentToolNames.join(', ')}`);
      const tool: AgentTool = agentTools[name];
      const call = (called: AgentToolName): Promise<ToolResult> => callTool({ name: called, input, cwd: process.cwd(), signal });
      const question = allowsChanges ? undefined : tool.changes?.question;
      if (question !== undefined) requireQuestions(tool);
      const check = tool.checkedBy === undefined ? undefined : await call(tool.checkedBy);
      if (check?.isError) return answer(check);
      const warning = warningOf(check?.value);
      if (question !== undefined) await askUser(tool, [question, JSON.stringify(input), ...warning].join('\n'));
      return answer(await call(name), warning);
    } catch (error) {
      return { content: [{ type: 'text', text: messageOf(error) }], isError: true };
    }
  },
);

const answer = ({ value, isError }: ToolResult, warning: readonly string[] = []): CallToolResult => ({
  content: [JSON.stringify(value), ...warning].map(text => ({ type: 'text', text })),
  isError,
});

/** @throws Error if the client cannot ask the user */
function requireQuestions({ title }: AgentTool): void {
  if (server.getClientCapabilities()?.elicitation !== undefined) return;
  throw new Error(
    `${title} needs the user's consent, and this client cannot ask for it. The user can start the server with: rowtune mcp --allow-changes`,
  );
}

/** @throws Error if the user declines */
async function askUser({ title }: AgentTool, message: string): Promise<void> {
  const { action } = await server.elicitInput({ message, requestedSchema: { type: 'object', properties: {} } });
  if (action !== 'accept') throw new Error(`the user declined: ${title}`);
}

await server.connect(new StdioServerTransport());
