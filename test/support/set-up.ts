/** Runs before each test file, in its process. */
import { afterAll } from 'vitest';
import { removeTemporaryFolders } from './machine/temporary-folder.ts';

afterAll(removeTemporaryFolders);
