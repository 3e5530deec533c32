import { type Reader, mapped, text } from './shape.ts';

/** An absolute, normalised path of at most 4,095 bytes (PATH_MAX) without control characters. */
export const imagePath: Reader<string> = mapped(
  text({ max: 4095, pattern: /^\/[^\u0000-\u001f\u007f]*$/, is: 'an absolute path' }),
  (path) => {
    if (
      path !== '/' &&
      path
        .slice(1)
        .split('/')
        .some((part) => part === '' || part === '.' || part === '..')
    ) {
      throw new Error('must be a normalised path: no "//", ".", ".." or trailing "/"');
    }
    return path;
  },
);

/** Whether an image path is `ancestor` or lies below it. */
export function isAtOrBelow(path: string, ancestor: string): boolean {
  return ancestor === '/' || path === ancestor || path.startsWith(`${ancestor}/`);
}
