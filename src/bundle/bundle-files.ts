/** The three files of a bundle, by what they are. Exactly these, nothing else. */
export const BUNDLE_FILE_NAMES = ['release.dsse.json', 'policy.json', 'manifest.mtree'] as const;
export type BundleFileName = (typeof BUNDLE_FILE_NAMES)[number];

/** The exact bytes of a bundle's files; nothing about them is verified. */
export type BundleFiles = { readonly [Name in BundleFileName]: Buffer };

/**
 * Bytes that are read of each file at most; a larger one is refused unread. The envelope of a real release is
 * some 4 KB; a manifest takes about 150 bytes a file, so its bound holds well over a million files; a policy
 * of 100,000 entities is some 20 MB.
 */
export const BUNDLE_FILE_LIMITS: { readonly [Name in BundleFileName]: number } = {
  'release.dsse.json': 1024 * 1024,
  'policy.json': 128 * 1024 * 1024,
  'manifest.mtree': 256 * 1024 * 1024,
};
