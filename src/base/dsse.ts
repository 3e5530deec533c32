import { base64 } from './bytes.ts';
import { type PrivateKey, type PublicKey, sign, verify } from './ed25519.ts';
import { BaseError } from './errors.ts';
import { parseJson } from './json.ts';
import { list, optional, readShape, record, text } from './shape.ts';

/** One signature over an envelope; `keyid` is a hint that nothing here trusts. */
export type EnvelopeSignature = { keyid: string | undefined; sig: Buffer };

/** A DSSE envelope (Dead Simple Signing Envelope v1.0.2), decoded; nothing in it is verified yet. */
export type Envelope = { payloadType: string; payload: Buffer; signatures: EnvelopeSignature[] };

/** More than the signers of any organisation, few enough that trying each against each key stays quick. */
export const MAX_SIGNATURES = 16;

/**
 * Pre-authentication encoding: what is signed (DSSE protocol, "PAE"). Lengths are of bytes, in ASCII decimal.
 */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const type = Buffer.from(payloadType, 'utf8');
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${type.length} `),
    type,
    Buffer.from(` ${payload.length} `),
    payload,
  ]);
}

const envelopeShape = record(
  {
    payloadType: text({ max: 256 }),
    payload: text({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    signatures: list(
      record({ keyid: optional(text({ min: 0, max: 256 })), sig: text({ max: 256 }) }, { open: true }),
      { max: MAX_SIGNATURES },
    ),
  },
  { open: true },
);

/**
 * Decodes an envelope. Unknown fields are ignored, as DSSE asks; base64 is taken in the standard and in the
 * URL alphabet, each in its canonical form only.
 * @throws BaseError `envelope-invalid`, or what `parseJson` throws
 */
export function parseEnvelope(bytes: Uint8Array, what: string, maxBytes: number): Envelope {
  const value = parseJson(bytes, what, { maxBytes, maxDepth: 8 });
  try {
    const shape = readShape(envelopeShape, value, what);
    return {
      payloadType: shape.payloadType,
      payload: decode(shape.payload, `${what}: payload`),
      signatures: shape.signatures.map(({ keyid, sig }, index) => ({
        keyid,
        sig: decode(sig, `${what}: signatures[${index}].sig`),
      })),
    };
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new BaseError('envelope-invalid', cause.message, { cause });
  }
}

function decode(encoded: string, what: string): Buffer {
  if (/[-_]/.test(encoded)) {
    const bytes = Buffer.from(encoded, 'base64url');
    if (bytes.toString('base64url') === encoded.replace(/=+$/, '')) return bytes;
  }
  return base64(encoded, what);
}

/** The envelope as JSON with a final newline: fixed field order, standard base64. */
export function formatEnvelope(envelope: Envelope): string {
  const plain = {
    payloadType: envelope.payloadType,
    payload: envelope.payload.toString('base64'),
    signatures: envelope.signatures.map(({ keyid, sig }) => ({
      ...(keyid === undefined ? {} : { keyid }),
      sig: sig.toString('base64'),
    })),
  };
  return `${JSON.stringify(plain, null, 2)}\n`;
}

/** The envelope with one more signature, by `key`. A second signature of the same key replaces its first. */
export function signEnvelope(envelope: Envelope, key: PrivateKey): Envelope {
  const sig = sign(preAuthEncoding(envelope.payloadType, envelope.payload), key);
  const others = envelope.signatures.filter(({ keyid }) => keyid !== key.publicKey.id);
  return { ...envelope, signatures: [...others, { keyid: key.publicKey.id, sig }] };
}

/**
 * The keys, each once, that signed the envelope: every signature is tried with every key, whatever its
 * `keyid` says, so that neither a second signature of one key nor a borrowed keyid counts twice.
 */
export function signersOf(envelope: Envelope, keys: readonly PublicKey[]): PublicKey[] {
  const message = preAuthEncoding(envelope.payloadType, envelope.payload);
  return keys.filter(
    (key, index) =>
      keys.findIndex((other) => other.id === key.id) === index &&
      envelope.signatures.some(({ sig }) => verify(message, sig, key)),
  );
}
