/**
 * Why a request is refused before any policy is asked. `credential` ones say that nobody, or nobody we know, is
 * asking (401); the others that the request can't be read as a question (403).
 */
export const CREDENTIAL_REFUSALS = [
  'no-identity',
  'identity-conflict',
  'credential-repeated',
  'credential-unknown',
  'api-key-malformed',
  'api-key-unknown',
  'api-key-revoked',
  'api-key-expired',
  'token-invalid',
  'token-expired',
  'subject-unknown',
  'certificate-unknown',
  'proxy-not-trusted',
] as const;
export const REQUEST_REFUSALS = [
  'proxy-unknown',
  'request-missing',
  'header-repeated',
  'header-malformed',
  'method-override',
  'host-not-normal',
  'path-not-normal',
  'path-look-alike',
  'no-route',
] as const;

export type CredentialRefusal = (typeof CREDENTIAL_REFUSALS)[number];
export type RequestRefusal = (typeof REQUEST_REFUSALS)[number];

/** A request that is refused: a stable code, and a sentence for the decision log. */
export type Refusal<Code extends string = CredentialRefusal | RequestRefusal> = {
  refused: Code;
  why: string;
};

/** Makes a refusal. */
export function refuse<const Code extends string>(refused: Code, why: string): Refusal<Code> {
  return { refused, why };
}

/** Whether the refusal says that nobody we know is asking, which HTTP calls 401. */
export function isCredentialRefusal({ refused }: Refusal): boolean {
  return (CREDENTIAL_REFUSALS as readonly string[]).includes(refused);
}
