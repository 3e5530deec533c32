import type { ReleaseId } from '../../base/release-id.ts';
import type { PolicyPlace } from '../../policy/engine.ts';
import type { Answer, AnswerContext } from './decider.ts';

const jsonOfPlaces = new WeakMap<PolicyPlace, string>();

/** The JSON of policies' places. An engine hands out the same object for a policy each time, so each is made once. */
export function policiesJson(policies: readonly PolicyPlace[]): string {
  let json = '';
  for (const place of policies) {
    let one = jsonOfPlaces.get(place);
    if (one === undefined) jsonOfPlaces.set(place, (one = JSON.stringify(place)));
    json += json === '' ? one : `,${one}`;
  }
  return `[${json}]`;
}

type Named = Pick<ReleaseId, 'name' | 'version' | 'commit'>;

let lastRelease: Named = { name: '', version: '', commit: '' };
let lastReleaseJson = '';

/** The JSON of a release's names. An agent serves one release. */
export function releaseJson(release: Named): string {
  if (release === lastRelease) return lastReleaseJson;
  const { name, version, commit } = release;
  if (commit !== lastRelease.commit || version !== lastRelease.version || name !== lastRelease.name) {
    lastReleaseJson = JSON.stringify(release);
  }
  lastRelease = release;
  return lastReleaseJson;
}

/** What `answerJson` writes: a field of an answer that is missing here does not compile. */
type Written = 'reason' | 'policies' | 'errors' | 'ignored' | 'state' | 'release' | 'decisionId';
type Context = keyof AnswerContext extends Written ? AnswerContext : never;

/** The JSON of an answer, as `JSON.stringify` makes it, without the braces around it. */
export function answerJson({ decision, context }: Answer): string {
  const { reason, policies, release, decisionId, state, errors, ignored }: Context = context;
  let json = `"decision":${decision},"context":{"reason":"${reason}","policies":${policiesJson(policies)}`;
  if (errors !== undefined) json += `,"errors":${JSON.stringify(errors)}`;
  if (ignored !== undefined) json += `,"ignored":${JSON.stringify(ignored)}`;
  if (state !== undefined) json += `,"state":"${state}"`;
  if (release !== undefined) json += `,"release":${releaseJson(release)}`;
  return `${json},"decisionId":"${decisionId}"}`;
}
