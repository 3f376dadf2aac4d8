/** The entry of the language server's process and of its second thread, which computes estimates while the first one answers. */
import { isMainThread } from 'node:worker_threads';

if (isMainThread) await import('./language-server.ts');
else await import('./estimate-thread.ts');
