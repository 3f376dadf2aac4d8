/** Every code that the linter reports, with its documentation, in the sections of the reference page. */
import type { Diagnostic, DiagnosticSection } from './diagnostic.ts';
import { configDiagnostics } from './model-folder.ts';
import { dataDiagnostics, machineDiagnostics, modelDiagnostics } from './recipe-files.ts';
import { settingDiagnostics } from './recipe-settings.ts';
import { textDiagnostics } from './recipe-text.ts';

export const diagnosticSections: readonly DiagnosticSection[] = [
  { title: 'The text of a recipe', diagnostics: textDiagnostics },
  { title: 'Settings that do not fit each other', diagnostics: settingDiagnostics },
  { title: 'The model', diagnostics: modelDiagnostics },
  { title: 'The data and the output folder', diagnostics: dataDiagnostics },
  { title: 'The machine', diagnostics: machineDiagnostics },
  {
    title: 'The configs of a model folder',
    about:
      'These are reported in `config.json`, `generation_config.json`, `adapter_config.json` (PEFT), the settings of processors of images (`preprocessor_config.json`, `processor_config.json`) and the indices of weights, `model.safetensors.index.json` and `pytorch_model.bin.index.json`. The files are compared with their neighbors; Rowtune never changes them by itself.',
    diagnostics: configDiagnostics,
  },
];

export const diagnosticOf = (code: string): Diagnostic | undefined =>
  diagnosticSections.map(({ diagnostics }) => diagnostics[code]).find(found => found !== undefined);

export const diagnosticCodes: readonly string[] = diagnosticSections.flatMap(({ diagnostics }) => Object.keys(diagnostics));

/** True if the diagnostic compares a recipe with a machine's memory and engines. */
export const isMachineDiagnostic = (code: string): boolean => Object.hasOwn(machineDiagnostics, code);
