import { emptyObject } from '../src/base/json.ts';
import { compilePolicy } from '../src/policy/compile.ts';
import type { EntityUid, PolicyDocument } from '../src/policy/document.ts';
import type { BakedEntity } from '../src/policy/entity-lines.ts';
import type { Question } from '../src/policy/engine.ts';

const SCHEMA = `
entity Role;
entity Team;
entity User in [Role, Team] = { name: String, level: Long, team: String };
entity Folder in [Folder];
entity Document in [Folder] = { owner: User, classification: String, size: Long };
action Read, Write, Share, Delete, Approve appliesTo {
  principal: User,
  resource: Document,
  context: { mfa: Bool, ip?: ipaddr },
};`;
const ACTIONS = ['Read', 'Write', 'Share', 'Delete', 'Approve'];

/** Whole numbers below `below`, the same in every run. */
function makeRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    // A linear congruential generator modulo 2^32; only its high bits are used.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

type Sizes = { users: number; documents: number; folders: number; roles: number; teams: number };

function sizesOf(policies: number, entities: number): Sizes {
  const roles = Math.max(1, Math.floor(policies / 20));
  const users = Math.max(1, Math.floor((entities - 2) * 0.5));
  const folders = Math.max(1, Math.floor(entities / 100));
  return { users, folders, documents: Math.max(1, entities - users - folders), roles, teams: roles };
}

/**
 * A document with this many policies of the kinds that services have: a role may do an action on a folder, the
 * owner may do it, guards against what is restricted; and about as many entities, half of them users, each with
 * a role and a team, documents in folders three deep.
 */
export function makeDocument(policies: number, entities: number): PolicyDocument {
  const { roles, folders } = sizesOf(policies, entities);
  const random = makeRandom(policies);
  const texts = Array.from({ length: policies }, (_, index) => {
    const action = `action == Action::"${ACTIONS[index % ACTIONS.length]}"`;
    const role = `principal in Role::"role-${random(roles)}"`;
    switch (index % 10) {
      case 0:
        return `permit (${role}, ${action}, resource) when { resource.classification != "restricted" };`;
      case 1:
        return `permit (principal in Team::"team-${random(roles)}", ${action}, resource) when { resource.owner == principal || principal.level > 3 };`;
      case 2:
        return `forbid (${role}, ${action}, resource) when { resource.classification == "restricted" && !context.mfa };`;
      case 3:
        return `permit (principal == User::"user-${random(1000)}", action, resource in Folder::"folder-${random(folders)}");`;
      case 4:
        return `forbid (${role}, ${action}, resource in Folder::"folder-${random(folders)}") when { resource.size > 1000000 };`;
      default:
        return `permit (${role}, ${action}, resource in Folder::"folder-${random(folders)}") when { principal.level >= ${random(5)} && (context has ip && context.ip.isInRange(ip("10.0.0.0/8")) || context.mfa) };`;
    }
  });
  const compiled = compilePolicy({
    schema: { file: 'schema.cedarschema', text: SCHEMA },
    policies: [{ file: 'policies/bench.cedar', text: texts.join('\n') }],
    entities: [],
  });
  return { ...compiled, entities: makeEntities(policies, entities) };
}

function makeEntities(policies: number, entities: number): BakedEntity[] {
  const { users, documents, folders, roles, teams } = sizesOf(policies, entities);
  const random = makeRandom(entities);
  const out: BakedEntity[] = [];
  for (let index = 0; index < users; index += 1) {
    out.push({
      uid: { type: 'User', id: `user-${index}` },
      attrs: { name: `User number ${index}`, level: random(6), team: `team-${random(teams)}` },
      parents: [
        { type: 'Role', id: `role-${random(roles)}` },
        { type: 'Team', id: `team-${random(teams)}` },
      ],
    });
  }
  for (let index = 0; index < folders; index += 1) {
    const parent = { type: 'Folder', id: `folder-${Math.floor(index / 10)}` };
    out.push({
      uid: { type: 'Folder', id: `folder-${index}` },
      attrs: {},
      parents: index < 10 ? [] : [parent],
    });
  }
  for (let index = 0; index < documents; index += 1) {
    out.push({
      uid: { type: 'Document', id: `document-${index}` },
      attrs: {
        owner: { __entity: { type: 'User', id: `user-${random(users)}` } },
        classification: ['public', 'internal', 'restricted'][random(3)] ?? 'public',
        size: random(2_000_000),
      },
      parents: [{ type: 'Folder', id: `folder-${random(folders)}` }],
    });
  }
  return out;
}

/** A question as both engines take it. */
export type BenchQuestion = Question & { action: EntityUid };

export function makeQuestions(policies: number, entities: number, count: number): BenchQuestion[] {
  const { users, documents } = sizesOf(policies, entities);
  const random = makeRandom(7);
  return Array.from({ length: count }, () => {
    const context = emptyObject();
    context['mfa'] = random(2) === 0;
    return {
      principal: { type: 'User', id: `user-${random(users)}` },
      action: { type: 'Action', id: ACTIONS[random(ACTIONS.length)] ?? 'Read' },
      resource: { type: 'Document', id: `document-${random(documents)}` },
      context,
    };
  });
}
