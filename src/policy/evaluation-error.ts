/**
 * Why one policy could not be evaluated on one request. Inside policy/ only: the engine turns it into an entry
 * of a decision's `errors`, it never leaves.
 */
export class EvaluationError extends Error {
  override readonly name = 'EvaluationError';
}
