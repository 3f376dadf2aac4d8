/** Any number of labels for a text. */
export { taskOfClassifier as task } from '../classifier/task-of-classifier.ts';
