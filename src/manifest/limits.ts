/**
 * Bytes of a manifest at most. A line is some 150 bytes, so this is more than the million entries below need;
 * whoever reads a manifest from a disk stops at this size.
 */
export const MAX_MANIFEST_BYTES: number = 256 * 1024 * 1024;

/** Entries at most: eight times a large server image (125,000), and 130 MB packed. */
export const MAX_ENTRIES = 1_000_000;

/**
 * Bytes of a path at most: four times PATH_MAX, since directories can nest deeper than one system call
 * reaches; a finding's path, each byte shown as `\xHH`, still fits a report's 65,536 characters.
 */
export const MAX_PATH_BYTES = 16_383;

/** Bytes of a name at most (NAME_MAX of Linux, linux/limits.h). */
export const MAX_NAME_BYTES = 255;

/** Bytes of a symbolic link's target at most (PATH_MAX of Linux, without the NUL). */
export const MAX_LINK_BYTES = 4095;

/** Bytes of one extended attribute's value at most, and of all names together (xattr(7): 64 KiB each). */
export const MAX_XATTR_BYTES = 65_536;

/**
 * Bytes of all extended attributes of one inode at most, names and values: in base64, and with every byte of the names
 * escaped, they fit a line beside the longest path. tmpfs and XFS hold thousands of the largest.
 */
export const MAX_XATTRS_BYTES: number = 512 * 1024;

/**
 * Bytes of a line at most: the longest path with every byte escaped, and a dozen attributes of full size. What
 * a real image holds stays a thousand times below.
 */
export const MAX_LINE_BYTES: number = 1024 * 1024;

/** Device numbers as Linux's dev_t holds them: 12 bits of major, 20 of minor (linux/kdev_t.h). */
export const MAX_DEVICE_MAJOR = 0xfff;
export const MAX_DEVICE_MINOR = 0xf_ffff;
