import { parseAccessDocument } from '../access/document.ts';
import { compileAccess } from '../access/source.ts';
import { compilePolicy } from '../policy/compile.ts';
import type { PolicyDocument } from '../policy/document.ts';
import { readEntities } from '../policy/entities.ts';
import { checkAccess } from './check-access.ts';
import type { Repository } from './repository.ts';

/** Compiles what a policy repository holds. @throws PolicyError, AccessError */
export function compileRepository({
  policies,
  schema,
  entities,
  access,
  settings,
}: Repository): PolicyDocument {
  const document = compilePolicy({
    policies,
    schema,
    entities: entities.flatMap(({ bytes, file }) => readEntities(bytes, file)),
    openTypes: settings.openTypes,
  });
  const section = compileAccess(access);
  if (section === undefined) return document;
  checkAccess(parseAccessDocument(section), document);
  return { ...document, access: section };
}
