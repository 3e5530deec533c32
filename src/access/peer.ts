import type { EntityUid } from '../base/entity-uid.ts';
import type { Accounts, IdentitySource, PeerRules } from './rules.ts';

/** The process at the other end of a Unix socket, as the kernel says: its user, group and further groups. */
export type Peer = { pid: number; uid: number; gid: number; groups: readonly number[] };

/** The numbers of this machine's users and groups; undefined for a name that it does not have. */
export type AccountNumbers = {
  user: (name: string) => number | undefined;
  group: (name: string) => number | undefined;
};

/** The names of accounts that a release gives, and this machine does not have: they match no process. */
export function unknownAccounts(identity: readonly IdentitySource[], numbers: AccountNumbers): string[] {
  const users: (string | number)[] = [];
  const groups: (string | number)[] = [];
  for (const source of identity) {
    const named = 'clientCertificate' in source ? source.clientCertificate.proxies : undefined;
    const peers = 'peer' in source ? source.peer : undefined;
    users.push(...(named?.users ?? []), ...(peers?.users?.keys() ?? []));
    groups.push(...(named?.groups ?? []), ...(peers?.groups?.keys() ?? []));
  }
  return [
    ...users.filter((name) => numberOf(name, numbers.user) === undefined).map((name) => `user ${name}`),
    ...groups.filter((name) => numberOf(name, numbers.group) === undefined).map((name) => `group ${name}`),
  ];
}

/** Whether a process runs as one of the accounts. */
export function createPeerTest(accounts: Accounts, numbers: AccountNumbers): (peer: Peer) => boolean {
  const users = numbersOf(accounts.users ?? [], numbers.user);
  const groups = numbersOf(accounts.groups ?? [], numbers.group);
  return (peer) => users.has(peer.uid) || groups.has(peer.gid) || peer.groups.some((gid) => groups.has(gid));
}

/** The subjects that a process is by its user and by each of its groups. */
export function createPeerSubjects(rules: PeerRules, numbers: AccountNumbers): (peer: Peer) => EntityUid[] {
  const byUser = byNumber(rules.users, numbers.user);
  const byGroup = byNumber(rules.groups, numbers.group);
  return ({ uid, gid, groups }) => {
    const found = [byUser.get(uid), ...new Set([gid, ...groups].map((group) => byGroup.get(group)))];
    return found.filter((subject) => subject !== undefined);
  };
}

function numbersOf(names: readonly (string | number)[], find: AccountNumbers['user']): Set<number> {
  return new Set(names.map((name) => numberOf(name, find)).filter((number) => number !== undefined));
}

function byNumber(subjects: PeerRules['users'], find: AccountNumbers['user']): Map<number, EntityUid> {
  const out = new Map<number, EntityUid>();
  for (const [name, subject] of subjects ?? []) {
    const number = numberOf(name, find);
    if (number !== undefined) out.set(number, subject);
  }
  return out;
}

/** Account names can't be all digits where they matter (useradd refuses them), so digits are the number. */
function numberOf(name: string | number, find: AccountNumbers['user']): number | undefined {
  return typeof name === 'number' || /^\d+$/.test(name) ? Number(name) : find(name);
}
