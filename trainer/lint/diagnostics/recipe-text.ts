/** Codes about the text of a recipe: its syntax, keys and single values. */
import { orList } from '../../catalog/entries.ts';
import { recipeToolLabels } from '../../catalog/recipe-tools.ts';
import type { Diagnostic } from './diagnostic.ts';

export const textDiagnostics: Readonly<Record<string, Diagnostic>> = {
  'invalid-yaml': {
    about:
      'The text is not YAML or JSON. Common causes are a missing space after a colon, a tab, and a bracket that is not closed. Everything that could be read is still checked.',
  },
  'too-large': {
    about:
      'A recipe has at most 256 K characters, 40,000 words and signs, 64 levels of nesting before it is parsed and 16 after, and 50,000 values once aliases are resolved. At most 500 problems are listed, errors first; a note says how many are left out.',
  },
  'duplicate-key': { about: 'A key is given twice in one place. YAML readers disagree about which one counts.', fix: 'Keep one.' },
  'unknown-key': {
    about: 'No setting has this name. Other tools drop such keys silently, and a misspelled `learning_rate` then trains at the default.',
    fix: 'Renames the key to the nearest setting.',
  },
  'foreign-key': {
    about: `This is a key of ${orList([...recipeToolLabels, 'PEFT'])}. The message says how its meaning differs, or why there is no such setting here. *Fix all* converts the whole recipe, as \`rowtune lint --fix\` does.`,
    fix: 'Renames the key, or deletes a switch that is off (`load_in_8bit: false`).',
  },
  'misplaced-key': { about: 'The setting exists, but in another place, for example under `data`.', fix: 'Moves the key there.' },
  'missing-key': { about: 'A setting that every recipe needs, such as `model`, is missing.' },
  'empty-value': {
    about: 'A key has no value. To ask for the default explicitly, write `null`.',
    fix: 'Write a value, or delete the line.',
  },
  'wrong-type': {
    about: 'The value has a type that the setting does not take: text instead of a number, a list instead of a word.',
    fix: 'Writes the number or the truth value that the text clearly means.',
  },
  'ambiguous-null': {
    about: 'Usually `null` means "as if this line were absent". For this setting other tools give `null` a meaning of its own.',
    fix: 'Write the value that you mean: `max_grad_norm: 0` turns clipping off.',
  },
  'out-of-range': { about: 'The value is outside the bounds of the setting. Hover over the key to see them.' },
  'not-a-choice': {
    about: 'The setting takes one of a few words.',
    fix: 'Writes the nearest word, or the word that stands here for that of another tool.',
  },
  'literal-token': {
    about: 'The text contains an access token. Recipes are copied to run folders and repositories.',
    fix: 'Delete the token, revoke it, and set `HF_TOKEN` in the environment instead.',
  },
  'number-format': {
    about: '`1e-5` is a number here and in YAML 1.2, but PyYAML reads it as text.',
    fix: 'Writes `1.0e-5`, which every reader takes for a number.',
  },
  'invalid-ignore': {
    about:
      'A comment `# rowtune-ignore code: reason` ignores warnings and hints in its own line, or in the next line with a setting if it has a line of its own. It needs the code of a diagnostic (up to 20, separated by commas) and a reason. The first 100 such comments of a recipe count. Errors stop a run, so no comment ignores them.',
    fix: 'Write the code from the message of the problem, a colon, and why it does not matter here.',
  },
  'unused-ignore': {
    about: 'A comment ignores a problem that is not there, or not any more. It would hide the problem if it came back.',
    fix: 'Deletes the comment.',
  },
  'invalid-override': {
    about: 'A setting on the command line is written `key=value`. The key of a grouped setting has a dot: `data.train=mails.jsonl`.',
  },
};
