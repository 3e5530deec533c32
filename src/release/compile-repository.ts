import { compilePolicy } from '../policy/compile.ts';
import type { PolicyDocument } from '../policy/document.ts';
import { readEntities } from '../policy/entities.ts';
import type { Repository } from './repository.ts';

/** Compiles what a policy repository holds. @throws PolicyError */
export function compileRepository({ policies, schema, entities, settings }: Repository): PolicyDocument {
  return compilePolicy({
    policies,
    schema,
    entities: entities.flatMap(({ bytes, file }) => readEntities(bytes, file)),
    openTypes: settings.openTypes,
  });
}
