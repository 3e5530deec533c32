/** in-toto's media type for a Statement in a DSSE envelope (in-toto Attestation Framework v1). */
export const PAYLOAD_TYPE = 'application/vnd.in-toto+json';
/** The `_type` of every Statement of that version. */
export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
