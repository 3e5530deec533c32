import { MAX_ENTRIES, MAX_MANIFEST_BYTES, MAX_NAME_BYTES, MAX_PATH_BYTES } from '../limits.ts';
import { ManifestError } from '../manifest-error.ts';
import { isStatement, keywordOf, state, unstate } from './keywords.ts';
import { type Listed, type Listing, type Stated, walkListing } from './listing.ts';
import { type LogicalLine, logicalLines } from './logical-lines.ts';
import { quoted, refuse } from './refuse.ts';
import { unvis } from './unvis.ts';

/** Directories inside one another at most: PATH_MAX of Linux holds no deeper path. */
const MAX_DEPTH = 2048;

/** Different keywords that are not known at most: a file with more of them is something else. */
const MAX_UNKNOWN = 64;

/** What vis(3) wrote for a byte: its marks are no sign of a pattern. */
const ANY_ESCAPE = /\\(?:M[-^]|\^)?./g;

/**
 * Reads a manifest that another program wrote: mtree(5) as NetBSD's mtree (`-c`, `-C`, `-D`), bsdtar, go-mtree and
 * FreeBSD's mtree write it, names in relative or full form. Of several lines about one path the later counts, for
 * each keyword, as in mtree(8). What would mean different things to different readers is refused.
 * @throws ManifestError `mtree-…` with the line
 */
export function readMtree(bytes: Uint8Array): Listing {
  if (bytes.length > MAX_MANIFEST_BYTES) {
    throw new ManifestError(
      'mtree-too-large',
      `the mtree manifest is ${bytes.length} bytes; at most ${MAX_MANIFEST_BYTES} are read`,
    );
  }
  const reader = new MtreeReader();
  for (const line of logicalLines(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))) {
    reader.take(line);
  }
  return reader.finish();
}

class MtreeReader {
  readonly #root: Listed = unlisted('', undefined);
  #nodes = 1;
  #entries = 0;
  #patternLike = 0;
  /** What `/set` lines state. */
  #set: Stated = {};
  readonly #unknown = new Set<string>();
  /** Whether the path stands last on a line (`mtree -D`); the first entry tells. */
  #pathLast: boolean | undefined;
  /**
   * Where a name without a slash stands: undefined above the root. Once full paths are among them there are two
   * opinions: NetBSD's mtree goes on where the last path led, libarchive and go-mtree stay where they were.
   */
  #here: Listed | undefined = this.#root;
  #stayed: Listed | undefined = this.#root;

  take({ line, words }: LogicalLine): void {
    const [first = ''] = words;
    if (first === '/set') {
      this.#set = { ...this.#set };
      for (const word of words.slice(1)) this.#state(this.#set, word, line);
    } else if (first === '/unset') {
      for (const word of words.slice(1)) this.#set = unstate(this.#set, word);
    } else if (first === '..') this.#up(words, line);
    else this.#entry(words, line);
  }

  finish(): Listing {
    const listing = { root: this.#root, entries: this.#entries, patternLike: this.#patternLike };
    if (this.#entries === 0 || (this.#nodes === 1 && this.#root.stated?.ignore === true)) {
      throw new ManifestError('mtree-empty', 'the mtree manifest lists nothing', {
        hint: 'Nothing that it says could differ from what is there.',
      });
    }
    for (const entry of walkListing(listing)) requireDirectoryAbove(entry);
    return listing;
  }

  #entry(words: string[], line: number): void {
    const [first = '', last = ''] = [words[0], words.at(-1)];
    this.#pathLast ??= isStatement(first) && (last === '.' || last.startsWith('./'));
    const path = this.#pathLast ? last : first;
    const stated: Stated = { ...this.#set };
    for (const word of this.#pathLast ? words.slice(0, -1) : words.slice(1)) this.#state(stated, word, line);
    const entry = this.#place(path, stated.type === 'dir', line);
    if (/[*?[]/.test(path.replaceAll(ANY_ESCAPE, ''))) this.#patternLike += 1;
    // A bare root is a directory to every reader.
    if (entry === this.#root) stated.type ??= 'dir';
    if (entry.stated === undefined) {
      this.#entries += 1;
      entry.stated = stated;
    } else {
      const before = entry.stated;
      if (before.type !== undefined && stated.type !== undefined && before.type !== stated.type) {
        refuse('mtree-conflict', line, `${quoted(path)} is of another type than in line ${entry.line}`);
      }
      const unchecked = [...new Set([...(before.unchecked ?? []), ...(stated.unchecked ?? [])])];
      entry.stated = { ...before, ...stated, ...(unchecked.length > 0 ? { unchecked } : {}) };
    }
    entry.line = line;
  }

  #state(stated: Stated, word: string, line: number): void {
    state(stated, word, line);
    if (isStatement(word)) return;
    const keyword = keywordOf(word);
    if (keyword === 'all' || keyword === '' || !/^[!-~]{1,64}$/.test(keyword)) {
      refuse('mtree-syntax', line, `${quoted(word)} is not a keyword with its value`);
    }
    this.#unknown.add(keyword);
    if (this.#unknown.size > MAX_UNKNOWN) {
      refuse(
        'mtree-syntax',
        line,
        `more than ${MAX_UNKNOWN} keywords are not known: is this an mtree manifest?`,
      );
    }
  }

  /** `..` on a line of its own. */
  #up(words: string[], line: number): void {
    if (words.length > 1) refuse('mtree-syntax', line, 'something follows ".."');
    this.#requireOneOpinion('..', line);
    // bsdtar's mtree-classic closes the root too.
    if (this.#here === undefined) refuse('mtree-path-escapes', line, '".." leads out of the root');
    this.#here = this.#here.parent;
    this.#stayed = this.#here;
  }

  /** The entry that a path names, made where it was not listed yet. */
  #place(text: string, isDirectory: boolean, line: number): Listed {
    const path = unvis(text);
    if (path === undefined) refuse('mtree-path-invalid', line, `the path ${quoted(text)} is badly escaped`);
    if (path.length > MAX_PATH_BYTES) {
      refuse('mtree-path-invalid', line, `the path is longer than ${MAX_PATH_BYTES} bytes`);
    }
    if (path === '.') {
      this.#here = this.#root;
      this.#stayed = this.#root;
      return this.#root;
    }
    const isFull = path.includes('/');
    if (!isFull) this.#requireOneOpinion(path, line);
    const start = isFull ? this.#root : this.#here;
    if (start === undefined) refuse('mtree-path-escapes', line, `${quoted(text)} stands above the root`);
    let at = start;
    for (const name of path.split('/')) {
      if (name === '' || name === '.') continue;
      if (name === '..') refuse('mtree-path-escapes', line, `the path ${quoted(text)} has a ".." component`);
      at = this.#child(at, name, line);
    }
    this.#here = isDirectory ? at : at.parent;
    if (!isFull) this.#stayed = this.#here;
    return at;
  }

  #child(directory: Listed, name: string, line: number): Listed {
    if (name.length > MAX_NAME_BYTES) {
      refuse('mtree-path-invalid', line, `the name ${quoted(name)} is longer than ${MAX_NAME_BYTES} bytes`);
    }
    directory.children ??= new Map();
    const known = directory.children.get(name);
    if (known !== undefined) return known;
    this.#nodes += 1;
    if (this.#nodes > MAX_ENTRIES) {
      refuse('mtree-too-large', line, `there are more than ${MAX_ENTRIES} entries`);
    }
    const made = unlisted(name, directory);
    if (made.depth > MAX_DEPTH) {
      refuse('mtree-too-large', line, `it lies more than ${MAX_DEPTH} directories deep`);
    }
    directory.children.set(name, made);
    return made;
  }

  #requireOneOpinion(name: string, line: number): void {
    if (this.#here === this.#stayed) return;
    refuse(
      'mtree-ambiguous',
      line,
      `${quoted(name)} after a full path: to some readers of mtree it stands in the directory of that path, to ` +
        'others where names without a slash stood before',
      'Write it as a full path, "./directory/name".',
    );
  }
}

function unlisted(name: string, parent: Listed | undefined): Listed {
  const depth = parent === undefined ? 0 : parent.depth + 1;
  return { name, parent, depth, stated: undefined, line: 0, children: undefined };
}

/** Nothing can lie below what the manifest says is no directory; what others lie below is one, if it says nothing. */
function requireDirectoryAbove(entry: Listed): void {
  if (entry.children === undefined || entry.stated === undefined) return;
  entry.stated.type ??= 'dir';
  if (entry.stated.type === 'dir') return;
  const [below] = entry.children.keys();
  refuse(
    'mtree-below-non-directory',
    entry.line,
    `${quoted(entry.name)} is no directory, but ${quoted(below ?? '')} lies below it`,
  );
}
