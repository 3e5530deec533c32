import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import koffi from 'koffi';
import { describe, expect, it, onTestFinished } from 'vitest';

import { SILENT_LOG } from '../../../src/host/log/log.ts';
import { createServiceNotifier } from '../../../src/host/kernel/service-notifier.ts';

/** A Unix datagram socket at an address, as systemd has one; `receive` gives the next datagram. */
function bindDatagram(address: Buffer): () => string {
  const libc = koffi.load(null);
  const fd = libc.func('int socket(int, int, int)')(1, 2, 0) as number;
  const bound = libc.func('int bind(int, const void *, uint32_t)')(fd, address, address.length) as number;
  expect(bound).toBe(0);
  onTestFinished(() => void libc.func('int close(int)')(fd));
  const recv = libc.func('intptr_t recv(int, _Out_ void *, size_t, int)');
  return () => {
    const bytes = Buffer.alloc(4096);
    return bytes.subarray(0, recv(fd, bytes, bytes.length, 0x40) as number).toString();
  };
}

function sockaddr(name: string): Buffer {
  return Buffer.concat([Buffer.from(Uint16Array.of(1).buffer), Buffer.from(name)]);
}

describe('createServiceNotifier', () => {
  it('sends each state as one datagram to a socket with a path', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sealborn-'));
    onTestFinished(() => rm(directory, { recursive: true, force: true }));
    const path = join(directory, 'notify');
    const receive = bindDatagram(sockaddr(`${path}\0`));
    const notify = await createServiceNotifier({ NOTIFY_SOCKET: path }, SILENT_LOG);
    notify('STATUS=measuring: 3 files\nEXTEND_TIMEOUT_USEC=1');
    notify('READY=1');
    expect(receive()).toBe('STATUS=measuring: 3 files\nEXTEND_TIMEOUT_USEC=1');
    expect(receive()).toBe('READY=1');
  });

  it('sends to an abstract socket', async () => {
    const name = `sealborn-test-${process.pid}`;
    const receive = bindDatagram(sockaddr(`\0${name}`));
    const notify = await createServiceNotifier({ NOTIFY_SOCKET: `@${name}` }, SILENT_LOG);
    notify('READY=1');
    expect(receive()).toBe('READY=1');
  });

  it('does nothing where systemd did not ask, and survives a socket that is gone', async () => {
    (await createServiceNotifier({}, SILENT_LOG))('READY=1');
    (await createServiceNotifier({ NOTIFY_SOCKET: '/nowhere/notify' }, SILENT_LOG))('READY=1');
  });

  it('says so in the log where the address is of another kind', async () => {
    const lines: object[] = [];
    const log = { ...SILENT_LOG, warn: (fields: object) => void lines.push(fields) };
    (await createServiceNotifier({ NOTIFY_SOCKET: 'vsock:2:3' }, log))('READY=1');
    expect(lines).toMatchObject([{ code: 'notify-unavailable' }]);
  });
});

describe('createLog', () => {
  it('writes one line of JSON an event, with control characters escaped', async () => {
    const script = `
      const { createLog } = await import(${JSON.stringify(new URL('../../../src/host/log/log.ts', import.meta.url).href)});
      createLog('test').error({ code: 'drift', path: '/a' }, 'name \\n{"level":"info"} \\u001b[2J \\u202e');`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.on('data', (chunk) => (out += String(chunk)));
    await once(child, 'close');
    const lines = out.trimEnd().split('\n');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      level: 'error',
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      program: 'test',
      code: 'drift',
      path: '/a',
      msg: 'name \\n{"level":"info"} \\x1b[2J \\u202e',
    });
  });
});
