/** Reads the JSON that tests compare with. Its form is checked, so that tests do not rely on an unchecked type. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';

/** The folder of reference numbers. */
export const GOLDEN = join(import.meta.dirname, '..', '..', 'golden');

/** Reads the text of a file; decompresses it if the name ends in `.gz`. */
function textOf(file: string | URL): string {
  const bytes = readFileSync(file);
  return (String(file).endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
}

/** Parses JSON. @throws ZodError that names each place with a different form */
export const parseJson = <Form extends z.ZodType>(text: string, form: Form): z.infer<Form> => form.parse(JSON.parse(text));

/** Reads a JSON file. @throws ZodError that names each place with a different form */
export const readJson = <Form extends z.ZodType>(file: string | URL, form: Form): z.infer<Form> => parseJson(textOf(file), form);

/** Reads a JSON file below `test/golden`. */
export const readGoldenJson = <Form extends z.ZodType>(name: string, form: Form): z.infer<Form> => readJson(join(GOLDEN, name), form);

const record = z.record(z.string(), z.unknown());

/** Reads the object in a JSON file, for example a config.json. */
export const readRecord = (file: string | URL): Record<string, unknown> => readJson(file, record);

/** Parses lines of JSON. */
export const parseLines = <Form extends z.ZodType>(text: string, form: Form): z.infer<Form>[] =>
  text
    .trim()
    .split('\n')
    .map(line => parseJson(line, form));

/** A line of metrics: names and values. */
export const metricsLine = z.record(z.string(), z.number());
