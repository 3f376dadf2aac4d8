/** A label for each word of a text. */
export { taskOfClassifier as task } from '../classifier/task-of-classifier.ts';
