import { CodedError } from '../base/errors.ts';

/** Why a manifest is refused. */
export type ManifestErrorCode =
  | 'manifest-empty'
  | 'manifest-too-large'
  | 'manifest-version'
  | 'manifest-syntax'
  | 'manifest-unknown-keyword'
  | 'manifest-path-absolute'
  | 'manifest-path-escapes'
  | 'manifest-path-invalid'
  | 'manifest-duplicate'
  | 'manifest-order'
  | 'manifest-parent-missing'
  | 'manifest-below-non-directory'
  | 'entry-invalid'
  // A manifest that another program wrote:
  | 'mtree-empty'
  | 'mtree-too-large'
  | 'mtree-syntax'
  | 'mtree-path-escapes'
  | 'mtree-path-invalid'
  | 'mtree-conflict'
  | 'mtree-ambiguous'
  | 'mtree-below-non-directory';

/** What manifest/ throws: the message names the line. */
export class ManifestError extends CodedError<ManifestErrorCode> {
  override readonly name = 'ManifestError';
}
