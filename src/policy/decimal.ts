import { EvaluationError } from './evaluation-error.ts';
import { type Long, longOf } from './long.ts';

/** Cedar's decimal: a fixed-point number with four digits after the point, in 64 bits. */
export type Decimal = {
  readonly kind: 'decimal';
  /** The number times 10,000. */
  readonly scaled: Long;
};

/**
 * Reads `-?digits.digits` with one to four digits after the point (Cedar reference, "decimal").
 * @throws EvaluationError
 */
export function parseDecimal(text: string): Decimal {
  const match = /^(-?)([0-9]+)\.([0-9]{1,4})$/.exec(text);
  const [, sign, whole, fraction] = match ?? [];
  if (whole === undefined || fraction === undefined) {
    throw new EvaluationError(`${JSON.stringify(text)} is not a decimal such as "12.3456"`);
  }
  // Text this long overflows, and making a bigint of it costs time that grows with its square.
  const magnitude =
    whole.length > 1000 ? undefined : BigInt(whole) * 10_000n + BigInt(fraction.padEnd(4, '0'));
  const scaled = magnitude === undefined ? undefined : longOf(sign === '-' ? -magnitude : magnitude);
  if (scaled === undefined) throw new EvaluationError(`the decimal ${text.slice(0, 64)} is out of range`);
  return { kind: 'decimal', scaled };
}

/** A text that `parseDecimal` reads as the same value. */
export function formatDecimal({ scaled }: Decimal): string {
  const digits = String(scaled).replace('-', '').padStart(5, '0');
  return `${scaled < 0 ? '-' : ''}${digits.slice(0, -4)}.${digits.slice(-4)}`;
}
