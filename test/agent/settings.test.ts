import { readFile } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

import { parseSettings, readSettings } from '../../src/agent/settings.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const shipped = new URL('../../packaging/agent.yaml', import.meta.url);

function parse(text: string): ReturnType<typeof parseSettings> {
  return parseSettings(Buffer.from(text), 'agent.yaml');
}

describe('parseSettings', () => {
  it('gives the defaults for an empty file and for the shipped one', async () => {
    const defaults = parse('');
    expect(defaults).toEqual({
      root: '/',
      bundle: '/usr/share/sealborn/bundle',
      trust: '/usr/share/sealborn/trust.yaml',
      runDirectory: '/run/sealborn',
      stateDirectory: '/var/lib/sealborn',
      logDirectory: '/var/log/sealborn',
      decisionLog: { fileBytes: 64e6, fileSeconds: 86_400, keepBytes: 1024e6, syncMilliseconds: 200 },
      sweepSeconds: 60,
      workers: undefined,
      health: { listen: { host: '0.0.0.0', port: 9180 } },
      authz: undefined,
      collector: undefined,
      labels: {},
    });
    expect(parseSettings(await readFile(shipped), 'agent.yaml')).toEqual(defaults);
  });

  it('takes every line of packaging/agent.yaml, and its values are the defaults', async () => {
    const uncommented = (await readFile(shipped, 'utf8')).replaceAll(/^#(?=[a-zA-Z]|  [a-zA-Z])/gm, '');
    const settings = parse(uncommented);
    const authz = { listen: { host: '127.0.0.1', port: 9181 } };
    const examples = { workers: 2, labels: { role: 'payments' }, authz, tpm: parse('tpm: {}').tpm };
    const { collector, ...others } = settings;
    const { collector: _, ...defaults } = parse('');
    expect(others).toEqual({ ...defaults, ...examples });
    expect(collector).toEqual({
      ...parse('collector: {url: "https://collector.example"}').collector,
      ca: '/etc/sealborn/collector-ca.pem',
    });
    expect(Object.keys(settings).every((key) => new RegExp(`^${key}:`, 'm').test(uncommented))).toBe(true);
  });

  it('reads what is set', () => {
    expect(
      parse(
        'sweepSeconds: 0.5\nhealth: {listen: "[::1]:80"}\nrunDirectory: /tmp/x/\nlabels: {a: b}\n' +
          'collector: {url: "http://10.0.0.1:9190/base", splaySeconds: 0}\n',
      ),
    ).toMatchObject({
      sweepSeconds: 0.5,
      health: { listen: { host: '::1', port: 80 } },
      runDirectory: '/tmp/x',
      labels: { a: 'b' },
      collector: { url: new URL('http://10.0.0.1:9190/base'), intervalSeconds: 60, splaySeconds: 0 },
    });
  });

  it.each([
    ['an unknown key', 'root: /\nsweepSecond: 3\n', /agent\.yaml:2: sweepSecond is not known here/],
    ['a nested unknown key', 'health: {port: 1}\n', /health\.port is not known/],
    ['a relative path', 'root: image\n', /agent\.yaml:1: root must be an absolute path/],
    ['a path with ..', 'root: /a/../b\n', /root must be a normalised path/],
    ['a sweep that never comes', 'sweepSeconds: 0\n', /sweepSeconds must be a number/],
    ['an address without port', 'health: {listen: "0.0.0.0"}\n', /is not an address such as/],
    ['a port beyond 65535', 'health: {listen: "0.0.0.0:70000"}\n', /is not an address such as/],
    ['a proxy listener for everyone', 'authz: {listen: "0.0.0.0:9181"}\n', /must be a loopback address/],
    ['a proxy listener for everyone in IPv6', 'authz: {listen: "[::]:9181"}\n', /must be a loopback address/],
    ['a proxy listener on the network', 'authz: {listen: "192.0.2.1:9181"}\n', /must be a loopback address/],
    ['a proxy listener at a name', 'authz: {listen: "localhost:9181"}\n', /must be a loopback address/],
    ['a URL of another kind', 'collector: {url: "file:///x"}\n', /must be an http/],
    ['a URL with a password', 'collector: {url: "http://a:b@c"}\n', /must have no user/],
    ['a collector without URL', 'collector: {intervalSeconds: 3}\n', /collector\.url is missing/],
    [
      'a decision log smaller than two of its files',
      'decisionLog: {keepMegabytes: 100}\n',
      /keepMegabytes \(100\) must be at least twice/,
    ],
    ['a list', '- a\n', /must be a mapping/],
    ['no YAML', 'root: [\n', /agent\.yaml:\d+:\d+: /],
    ['too large a file', `#${'x'.repeat(70_000)}`, /larger than/],
  ])('refuses %s', (_, text, message) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'settings-invalid' }));
    expect(() => parse(text)).toThrow(message);
  });
});

describe('readSettings', () => {
  it('throws not-found for a file that is not there', async () => {
    const directory = await temporaryDirectory();
    await expect(readSettings(`${directory}/agent.yaml`)).rejects.toMatchObject({ code: 'not-found' });
  });
});
