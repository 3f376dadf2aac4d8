/** Reads the operations that a program with injected faults recorded. */
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { parseLines } from '../support/files/read-json.ts';
import { FAULT_KINDS, type FaultOperation } from './fault-plan.ts';

const operationForm = z.object({ index: z.number(), kind: z.enum(FAULT_KINDS), call: z.string(), path: z.string() });

/** Returns the operations in a report; none if no operation was watched. */
export const reportedOperations = (file: string): FaultOperation[] =>
  existsSync(file) ? parseLines(readFileSync(file, 'utf8'), operationForm) : [];
