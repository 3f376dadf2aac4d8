/** docs/reference/commands.md: every command, argument and option, from the declarations that --help prints. */
import type { Argument, Command, Option } from 'commander';
import { andList } from '../../trainer/catalog/entries.ts';
import { examplesOf } from '../../trainer/cli/command.ts';
import { declareProgram } from '../../trainer/cli/program.ts';
import { resolveSettings } from '../../trainer/settings.ts';
import { code, codes, list, page, paragraph, sentence } from './markdown.ts';

/** Settings without any environment, so that nothing about this machine is written into the page. */
const settings = resolveSettings({ env: {}, platform: 'linux', home: '/' });

export async function commandsPage(): Promise<string> {
  const program = await declareProgram({ settings, cwd: '/' });
  const commands = program.commands.flatMap(command => (command.commands.length > 0 ? [command, ...command.commands] : [command]));
  const leaves = commands.filter(({ commands: below }) => below.length === 0);
  const common = commonOptions(leaves.filter(printsResult));
  const servers = leaves.filter(command => !printsResult(command)).map(command => code(command.name()));
  return page('Commands', 'trainer/cli', [
    paragraph(
      '`rowtune <command> --help` prints the same on the command line. Exit status: 0 done, 1 failed, 2 bad recipe or usage, 130 aborted.',
    ),
    paragraph(
      `Every command takes these options, except ${andList(servers)}, which speak a protocol over stdin and stdout: ${common.map(option => `${code(option.flags)} (${option.description})`).join('; ')}.`,
    ),
    list(program.commands.map(command => `[rowtune ${command.name()}](#rowtune-${command.name()}): ${command.description()}`)),
    ...commands.map(command => commandText(command, common)),
  ]);
}

/** True for commands whose output is for people or, with `--json`, for scripts. */
const printsResult = ({ options }: Command): boolean => options.some(({ long }) => long === '--json');

/** The options that all of these commands have. */
const commonOptions = (commands: readonly Command[]): readonly Option[] =>
  (commands[0]?.options ?? []).filter(({ flags }) => commands.every(({ options }) => options.some(option => option.flags === flags)));

function commandText(command: Command, common: readonly Option[]): string {
  const parent = command.parent?.name() === 'rowtune' ? [] : [command.parent?.name() ?? ''];
  const name = ['rowtune', ...parent, command.name()].join(' ');
  const own = command.options.filter(({ flags }) => !common.some(option => option.flags === flags));
  const usage = [name, ...command.registeredArguments.map(argumentUsage), ...(own.length > 0 ? ['[options]'] : [])].join(' ');
  const facts = [...command.registeredArguments.map(argumentText), ...own.map(optionText)];
  const below = command.commands.map(child => `${code(`${name} ${child.name()}`)}: ${child.description()}`);
  const examples = examplesOf(command);
  return [
    `${parent.length === 0 ? '##' : '###'} ${name}`,
    paragraph(sentence(command.description())),
    ...(below.length > 0 ? [list(below)] : [`\`\`\`text\n${usage}\n\`\`\``]),
    ...(facts.length > 0 ? [list(facts)] : []),
    ...(examples.length > 0 ? [`\`\`\`sh\n${examples.join('\n')}\n\`\`\``] : []),
  ].join('\n\n');
}

function argumentUsage(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

const argumentText = (argument: Argument): string => `${code(argumentUsage(argument))}: ${argument.description}`;

function optionText({ flags, description, argChoices, defaultValue, mandatory }: Option): string {
  const facts = [
    ...(mandatory ? ['required'] : []),
    ...(argChoices === undefined ? [] : [`one of ${codes(argChoices)}`]),
    ...(defaultValue === undefined || typeof defaultValue === 'boolean' ? [] : [`default ${code(String(defaultValue))}`]),
  ];
  return `${code(flags)}: ${description}${facts.length === 0 ? '' : ` (${facts.join('; ')})`}`;
}
