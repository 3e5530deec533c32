import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { Point } from '@noble/ed25519';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  generateKeyPair,
  loadPrivateKey,
  loadPublicKey,
  publicKeyOfRaw,
  sign,
  verify,
} from '../../src/base/ed25519.ts';
import { corpus } from '../support/corpora.ts';
import {
  KNOWN_KEY,
  MIXED_ORDER,
  ORDER_8,
  addOrder,
  signNonCanonical,
  signWithOffset,
} from '../support/crafted-signatures.ts';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

const hasNoOpenssl = spawnSync('openssl', ['version']).status !== 0;
if (hasNoOpenssl) process.stderr.write('skipped: reading keys of openssl needs the openssl command\n');

const wycheproof = corpus('ed25519/wycheproof.json');
const speccheck = corpus('ed25519/speccheck.json');

describe('verify', () => {
  it('accepts what sign made, and refuses it with any bit of message, signature or key changed', () => {
    const { privatePem } = generateKeyPair();
    const key = loadPrivateKey(privatePem, 'key');
    const other = loadPrivateKey(generateKeyPair().privatePem, 'other').publicKey;
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.nat(), (message, flip) => {
        const signature = sign(message, key);
        expect(verify(message, signature, key.publicKey)).toBe(true);
        expect(verify(message, signature, other)).toBe(false);
        const bit = 1 << (flip % 8);
        const badMessage = Uint8Array.from(message);
        badMessage[flip % message.length]! ^= bit;
        expect(verify(badMessage, signature, key.publicKey)).toBe(false);
        const badSignature = Uint8Array.from(signature);
        badSignature[flip % 64]! ^= bit;
        expect(verify(message, badSignature, key.publicKey)).toBe(false);
      }),
      { numRuns: 40 },
    );
  });

  it.skipIf(wycheproof.missing)('agrees with all 151 Wycheproof vectors', () => {
    const { testGroups } = JSON.parse(readFileSync(wycheproof.path, 'utf8')) as {
      testGroups: {
        publicKey: { pk: string };
        tests: { tcId: number; msg: string; sig: string; result: string }[];
      }[];
    };
    const disagreeing: number[] = [];
    let count = 0;
    for (const group of testGroups) {
      const key = publicKeyOfRaw(hex(group.publicKey.pk), 'vector');
      for (const test of group.tests) {
        count += 1;
        if (verify(hex(test.msg), hex(test.sig), key) !== (test.result === 'valid'))
          disagreeing.push(test.tcId);
      }
    }
    expect(disagreeing).toEqual([]);
    expect(count).toBe(151);
  });

  it.skipIf(speccheck.missing)(
    'refuses every vector of ed25519-speccheck, by its key or by its signature',
    () => {
      const vectors = JSON.parse(readFileSync(speccheck.path, 'utf8')) as {
        message: string;
        pub_key: string;
        signature: string;
      }[];
      const outcomes = vectors.map(({ message, pub_key, signature }) => {
        try {
          return verify(hex(message), hex(signature), publicKeyOfRaw(hex(pub_key), 'vector'))
            ? 'accepted'
            : 'refused';
        } catch (thrown) {
          return (thrown as { code: string }).code;
        }
      });
      // 0-5 and 8-9 have keys of small or mixed order, 10-11 non-canonical keys; 6 and 7 have S >= L.
      const weak = 'key-weak';
      expect(outcomes).toEqual([
        weak,
        weak,
        weak,
        weak,
        weak,
        weak,
        'refused',
        'refused',
        weak,
        weak,
        weak,
        weak,
      ]);
    },
  );

  it('attack 39: refuses S + L', () => {
    const key = loadPrivateKey(generateKeyPair().privatePem, 'key');
    const message = Buffer.from('message');
    expect(verify(message, addOrder(sign(message, key)), key.publicKey)).toBe(false);
  });

  const known = publicKeyOfRaw(KNOWN_KEY, 'key');

  it('attack 39: refuses a signature that only the cofactored equation accepts', () => {
    const message = Buffer.from('message');
    expect(verify(message, signWithOffset(message, Point.ZERO), known)).toBe(true);
    expect(verify(message, signWithOffset(message, ORDER_8), known)).toBe(false);
  });

  it('attack 39: refuses a non-canonical R', () => {
    const message = Buffer.from('message');
    expect(verify(message, signNonCanonical(message), known)).toBe(false);
  });

  it('refuses a signature that is not 64 bytes', () => {
    const key = loadPrivateKey(generateKeyPair().privatePem, 'key');
    const signature = sign(Buffer.from('m'), key);
    expect(verify(Buffer.from('m'), signature.subarray(0, 63), key.publicKey)).toBe(false);
    expect(verify(Buffer.from('m'), Buffer.concat([signature, Buffer.alloc(1)]), key.publicKey)).toBe(false);
  });
});

describe('publicKeyOfRaw', () => {
  const weak: [string, string][] = [
    ['attack 38: the identity (order 1)', `01${'00'.repeat(31)}`],
    ['attack 38: order 2', `ec${'ff'.repeat(30)}7f`],
    ['attack 38: order 4', '00'.repeat(32)],
    ['attack 38: order 8', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
    ['attack 40: mixed order', Buffer.from(MIXED_ORDER.toBytes()).toString('hex')],
    ['not canonical: y = p + 1', `ee${'ff'.repeat(30)}7f`],
    ['not canonical: negative zero', `01${'00'.repeat(30)}80`],
    ['not on the curve', `02${'00'.repeat(31)}`],
  ];
  it.each(weak)('refuses %s', (_, raw) => {
    expect(() => publicKeyOfRaw(hex(raw), 'key')).toThrow(expect.objectContaining({ code: 'key-weak' }));
  });
});

describe('loadPublicKey and loadPrivateKey', () => {
  it.skipIf(hasNoOpenssl)('read what openssl writes, and openssl reads what generateKeyPair writes', () => {
    const privatePem = execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519'], { encoding: 'utf8' });
    const publicPem = execFileSync('openssl', ['pkey', '-pubout'], { input: privatePem, encoding: 'utf8' });
    expect(loadPrivateKey(privatePem, 'key').publicKey.id).toBe(loadPublicKey(publicPem, 'key').id);

    const ours = generateKeyPair();
    const derived = execFileSync('openssl', ['pkey', '-pubout'], {
      input: ours.privatePem,
      encoding: 'utf8',
    });
    expect(derived).toBe(ours.publicPem);
  });

  const rsa = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const pair = generateKeyPair();
  const notPublic: [string, string][] = [
    ['an RSA key', rsa.publicKey],
    ['a private key', pair.privatePem],
    ['two keys', pair.publicPem + pair.publicPem],
    ['text', 'hello'],
    ['nothing', ''],
    ['a truncated block', pair.publicPem.slice(0, 60)],
    ['something huge', pair.publicPem + ' '.repeat(10_000)],
  ];
  it.each(notPublic)('loadPublicKey refuses %s', (_, pem) => {
    expect(() => loadPublicKey(pem, 'key')).toThrow(expect.objectContaining({ code: 'key-invalid' }));
  });
  it.each([
    ['an RSA key', rsa.privateKey],
    ['a public key', pair.publicPem],
    ['text', 'hello'],
  ])('loadPrivateKey refuses %s', (_, pem) => {
    expect(() => loadPrivateKey(pem, 'key')).toThrow(expect.objectContaining({ code: 'key-invalid' }));
  });
});
