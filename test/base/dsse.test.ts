import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  type Envelope,
  MAX_SIGNATURES,
  formatEnvelope,
  parseEnvelope,
  preAuthEncoding,
  signEnvelope,
  signersOf,
} from '../../src/base/dsse.ts';
import { generateKeyPair, loadPrivateKey } from '../../src/base/ed25519.ts';

const LIMIT = 1 << 20;
const key = loadPrivateKey(generateKeyPair().privatePem, 'a');
const other = loadPrivateKey(generateKeyPair().privatePem, 'b');
const unsigned = (payload: Uint8Array, payloadType = 'text/plain'): Envelope => ({
  payloadType,
  payload: Buffer.from(payload),
  signatures: [],
});

describe('preAuthEncoding', () => {
  it('is the encoding of the DSSE protocol, with lengths in bytes', () => {
    // The example of the DSSE protocol document.
    expect(preAuthEncoding('http://example.com/HelloWorld', Buffer.from('hello world')).toString()).toBe(
      'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
    );
    expect(preAuthEncoding('ü', Buffer.from('ü')).toString()).toBe('DSSEv1 2 ü 2 ü');
  });
});

describe('parseEnvelope', () => {
  it('reads back what formatEnvelope writes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }),
        (payload, type) => {
          const envelope = signEnvelope(unsigned(payload, type), key);
          expect(parseEnvelope(Buffer.from(formatEnvelope(envelope)), 'e', LIMIT)).toEqual(envelope);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('takes the URL alphabet of base64, as DSSE demands of verifiers', () => {
    const payload = Buffer.from([0xfb, 0xff, 0xfe]);
    const text = JSON.stringify({ payloadType: 't', payload: payload.toString('base64url'), signatures: [] });
    expect(parseEnvelope(Buffer.from(text), 'e', LIMIT).payload).toEqual(payload);
  });

  it.each([
    ['not JSON', '{', 'json-invalid'],
    ['a list', '[]', 'envelope-invalid'],
    ['no payload', '{"payloadType": "t", "signatures": []}', 'envelope-invalid'],
    ['base64 with a space', '{"payloadType": "t", "payload": "YQ= =", "signatures": []}', 'envelope-invalid'],
    [
      'base64 with stray bits',
      '{"payloadType": "t", "payload": "YR==", "signatures": []}',
      'envelope-invalid',
    ],
    [
      'two payloads',
      '{"payloadType": "t", "payload": "", "payload": "YQ==", "signatures": []}',
      'json-duplicate-key',
    ],
  ])('refuses %s', (_, text, code) => {
    expect(() => parseEnvelope(Buffer.from(text), 'e', LIMIT)).toThrow(expect.objectContaining({ code }));
  });

  it('attack 50: refuses a million signatures by a limit', () => {
    const sig = { sig: 'YQ==' };
    const text = JSON.stringify({
      payloadType: 't',
      payload: '',
      signatures: Array.from({ length: 1_000_000 }, () => sig),
    });
    expect(() => parseEnvelope(Buffer.from(text), 'e', LIMIT)).toThrow(
      expect.objectContaining({ code: 'json-too-large' }),
    );
    expect(() => parseEnvelope(Buffer.from(text), 'e', 1 << 26)).toThrow(
      new RegExp(`at most ${MAX_SIGNATURES} are read`),
    );
  });
});

describe('signersOf', () => {
  it('counts distinct keys, whatever the keyids say', () => {
    const once = signEnvelope(unsigned(Buffer.from('x')), key);
    const [signature] = once.signatures;
    const twice: Envelope = {
      ...once,
      signatures: [
        signature!,
        { ...signature!, keyid: other.publicKey.id },
        { ...signature!, keyid: undefined },
      ],
    };
    expect(signersOf(twice, [key.publicKey, other.publicKey]).map((k) => k.id)).toEqual([key.publicKey.id]);
    expect(signersOf(twice, [key.publicKey, key.publicKey])).toHaveLength(1);
    expect(signersOf(twice, [other.publicKey])).toEqual([]);
  });

  it('refuses any mutation of the payload or its type', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), fc.nat(), (payload, at) => {
        const envelope = signEnvelope(unsigned(payload), key);
        const changed = Buffer.from(payload);
        changed[at % changed.length]! ^= 1;
        expect(signersOf(envelope, [key.publicKey])).toHaveLength(1);
        expect(signersOf({ ...envelope, payload: changed }, [key.publicKey])).toEqual([]);
        expect(signersOf({ ...envelope, payloadType: 'text/plain ' }, [key.publicKey])).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });

  it('counts both of two signers, and one that signed again once', () => {
    const envelope = signEnvelope(signEnvelope(signEnvelope(unsigned(Buffer.from('x')), key), other), key);
    expect(envelope.signatures).toHaveLength(2);
    expect(signersOf(envelope, [key.publicKey, other.publicKey])).toHaveLength(2);
  });
});
