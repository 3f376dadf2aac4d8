/** A reranker: the logistic loss of one output, like sentence-transformers' `BinaryCrossEntropyLoss`. */
export { taskOfClassifier as task } from '../classifier/task-of-classifier.ts';
