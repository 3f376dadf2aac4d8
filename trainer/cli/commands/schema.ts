/** `rowtune schema`: the JSON Schema of recipes, for editors and tools without other support for Rowtune. */
import { recipeJsonSchema } from '../../protocol/recipe/recipe-schema.ts';
import { agentsPage } from '../agents-page.ts';
import { type AddCommand, runCommandWork, withCommonOptions } from '../command.ts';

export const addSchema: AddCommand = (program, surroundings) => {
  const command = program.command('schema').description('print the JSON Schema of recipes');
  command.option('--agents', 'print instructions for agents instead: how to write, check and train a recipe, and every setting');
  withCommonOptions(command, ['rowtune schema > rowtune.schema.json', 'rowtune schema --agents > AGENTS.md']).action(() =>
    runCommandWork(command, surroundings, async ({ terminal }) => {
      if (command.opts().agents === true) {
        const instructions = agentsPage();
        terminal.print(instructions.trimEnd());
        return { value: { ok: true, instructions } };
      }
      const schema = recipeJsonSchema();
      terminal.print(JSON.stringify(schema, undefined, 2));
      return { value: { ok: true, schema } };
    }),
  );
};
