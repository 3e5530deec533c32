import { compilePolicy } from '../../src/policy/compile.ts';
import type { PolicyDocument } from '../../src/policy/document.ts';
import { readEntities } from '../../src/policy/entities.ts';

const id = (digit: number): string =>
  Buffer.from(`\n$fd${digit}614d3-c39a-4781-b7bd-8b96f5a5100d\u0012\u0005local`).toString('base64');

/** AuthZEN's interop scenario "todo": five users, three roles beside the evil genius, todos with owners. */
export function todoScenario(): PolicyDocument {
  const schema = `
    entity Role;
    entity user in [Role] = { email?: String };
    entity todo = { ownerID?: String };
    action can_read_user appliesTo { principal: user, resource: user };
    action can_read_todos, can_create_todo, can_update_todo, can_delete_todo
      appliesTo { principal: user, resource: todo };`;
  const policies = `
    @id("read") permit (principal, action in [Action::"can_read_user", Action::"can_read_todos"], resource);
    @id("create") permit (principal in Role::"editor", action == Action::"can_create_todo", resource);
    @id("update-any") permit (principal in Role::"evil_genius", action == Action::"can_update_todo", resource);
    @id("delete-any") permit (principal in Role::"admin", action == Action::"can_delete_todo", resource);
    @id("own") permit (
      principal in Role::"editor",
      action in [Action::"can_update_todo", Action::"can_delete_todo"],
      resource
    ) when { principal has email && resource has ownerID && resource.ownerID == principal.email };`;
  const users: [number, string, string[]][] = [
    [0, 'rick@the-citadel.com', ['admin', 'evil_genius', 'editor']],
    [1, 'morty@the-citadel.com', ['editor']],
    [2, 'summer@the-smiths.com', ['editor']],
    [3, 'beth@the-smiths.com', []],
    [4, 'jerry@the-smiths.com', []],
  ];
  const yaml = users.map(
    ([digit, email, roles]) =>
      `  - uid: user::"${id(digit)}"\n    attrs: { email: "${email}" }\n` +
      `    parents: [${roles.map((role) => `Role::"${role}"`).join(', ')}]\n`,
  );
  return compilePolicy({
    schema: { file: 'schema.cedarschema', text: schema },
    policies: [{ file: 'policies/todo.cedar', text: policies }],
    entities: readEntities(Buffer.from(`entities:\n${yaml.join('')}`), 'entities/users.yaml'),
    openTypes: ['todo', 'user'],
  });
}
