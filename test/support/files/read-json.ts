/** Reads the JSON that tests compare with. Its form is checked, so that a test works on what is there and not on what a type states. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';

/** The folder of reference numbers. */
export const GOLDEN = join(import.meta.dirname, '..', '..', 'golden');

/** A file's text; that of a file whose name ends in `.gz` is unpacked. */
function textOf(file: string | URL): string {
  const bytes = readFileSync(file);
  return (String(file).endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
}

/** Returns the value of a JSON text. @throws ZodError naming each place that has another form */
export const parseJson = <Form extends z.ZodType>(text: string, form: Form): z.infer<Form> => form.parse(JSON.parse(text));

/** Returns the content of a JSON file. @throws ZodError naming each place that has another form */
export const readJson = <Form extends z.ZodType>(file: string | URL, form: Form): z.infer<Form> => parseJson(textOf(file), form);

/** The same of a file below `test/golden`. */
export const readGoldenJson = <Form extends z.ZodType>(name: string, form: Form): z.infer<Form> => readJson(join(GOLDEN, name), form);

const record = z.record(z.string(), z.unknown());

/** Returns the object that a JSON file holds, for example a config.json. */
export const readRecord = (file: string | URL): Record<string, unknown> => readJson(file, record);

/** Returns the values of JSON lines. */
export const parseLines = <Form extends z.ZodType>(text: string, form: Form): z.infer<Form>[] =>
  text
    .trim()
    .split('\n')
    .map(line => parseJson(line, form));

/** A line of metrics: names and numbers. */
export const metricsLine = z.record(z.string(), z.number());
