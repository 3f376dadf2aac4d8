/** The thread that computes estimates: parameters in, an estimate or a message out, one at a time. */
import { parentPort } from 'node:worker_threads';
import { answerEstimate } from '../trainer/lint/estimates.ts';
import type { EstimateParams } from '../trainer/memory/predict.ts';

parentPort?.on('message', (params: EstimateParams) => parentPort?.postMessage(answerEstimate(params)));
