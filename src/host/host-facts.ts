import { readFile } from 'node:fs/promises';
import { arch, availableParallelism, hostname, release, totalmem } from 'node:os';
import { versions } from 'node:process';

import { VERSION } from '../base/version.ts';

/** A fact's characters at most: what a report carries. */
const MAX_FACT = 256;

/**
 * What the host says about itself in reports, for people: nothing here is proved and nothing turns on it. Read
 * from the kernel and /etc/os-release, without running any program; what can't be read is left out.
 */
export async function readHostFacts(): Promise<Record<string, string>> {
  const [os, vendor, model] = await Promise.all([
    readText('/etc/os-release').then(prettyName),
    readText('/sys/class/dmi/id/sys_vendor'),
    readText('/sys/class/dmi/id/product_name'),
  ]);
  const facts: Record<string, string | undefined> = {
    hostname: hostname(),
    os,
    kernel: release(),
    architecture: arch(),
    cpus: String(availableParallelism()),
    memoryMiB: String(Math.round(totalmem() / 2 ** 20)),
    vendor,
    model,
    agent: `sealborn ${VERSION}`,
    node: versions.node,
  };
  const out: Record<string, string> = {};
  for (const [name, fact] of Object.entries(facts)) {
    const words = fact?.trim().slice(0, MAX_FACT).toWellFormed();
    if (words !== undefined && words !== '') out[name] = words;
  }
  return out;
}

async function readText(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}

/** `PRETTY_NAME` of os-release(5). */
function prettyName(file: string | undefined): string | undefined {
  return file && /^PRETTY_NAME=(["']?)(.*)\1$/m.exec(file)?.[2];
}
