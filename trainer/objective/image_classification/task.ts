/** One label for an image. */
export { taskOfClassifier as task } from '../classifier/task-of-classifier.ts';
