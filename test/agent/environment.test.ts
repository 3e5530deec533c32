import { describe, expect, it } from 'vitest';

import { requireSafeEnvironment, safeEnvironment } from '../../src/agent/environment.ts';

const usual = { PATH: '/usr/bin', HOME: '/', LANG: 'C', NODE_ENV: 'production', NOTIFY_SOCKET: '/run/n' };

describe('requireSafeEnvironment (attacks, row 42)', () => {
  it.each([
    'NODE_OPTIONS',
    'NODE_EXTRA_CA_CERTS',
    'NODE_TLS_REJECT_UNAUTHORIZED',
    'NODE_COMPILE_CACHE',
    'NODE_PATH',
    'LD_PRELOAD',
    'LD_LIBRARY_PATH',
    'LD_AUDIT',
    'OPENSSL_CONF',
    'OPENSSL_MODULES',
    'SSL_CERT_FILE',
    'SSLKEYLOGFILE',
    'GLIBC_TUNABLES',
  ])('refuses %s, naming it', (name) => {
    const environment = { ...usual, [name]: 'x' };
    expect(() => requireSafeEnvironment(environment)).toThrow(
      expect.objectContaining({ code: 'environment-unsafe', message: expect.stringContaining(name) }),
    );
    expect(safeEnvironment(environment)).toEqual(usual);
  });

  it('takes a usual environment, and a variable that is set to nothing', () => {
    expect(() => requireSafeEnvironment({ ...usual, LD_PRELOAD: '' })).not.toThrow();
    expect(safeEnvironment(usual)).toEqual(usual);
  });
});
