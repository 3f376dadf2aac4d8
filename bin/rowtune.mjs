#!/usr/bin/env node
/** The command `rowtune`. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const bundle = new URL('../dist/rowtune.js', import.meta.url);
if (existsSync(bundle)) await import(bundle.href);
else {
  console.error(`${fileURLToPath(bundle)} is missing. Build it first: npm run build`);
  process.exitCode = 1;
}
