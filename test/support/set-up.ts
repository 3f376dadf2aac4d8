/** Runs before each file of tests, in its process. */
import { afterAll } from 'vitest';
import { removeTemporaryFolders } from './machine/temporary-folder.ts';

afterAll(removeTemporaryFolders);
