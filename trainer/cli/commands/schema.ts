/** `rowtune schema`: the JSON Schema of recipes, for editors and tools that know nothing else of Rowtune. */
import { recipeJsonSchema } from '../../protocol/recipe-schema.ts';
import { type AddCommand, runCommandWork, withCommonOptions } from '../command.ts';

export const addSchema: AddCommand = (program, surroundings) => {
  const command = program.command('schema').description('print the JSON Schema of recipes');
  withCommonOptions(command, ['rowtune schema > rowtune.schema.json']).action(() =>
    runCommandWork(command, surroundings, async ({ terminal }) => {
      const schema = recipeJsonSchema();
      terminal.print(JSON.stringify(schema, undefined, 2));
      return { value: { ok: true, schema } };
    }),
  );
};
