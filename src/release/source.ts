import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { escapeText } from '../base/display.ts';
import { messageOf } from '../base/errors.ts';
import { ReleaseError } from './release-error.ts';

const run = promisify(execFile);

/** Which commit of the policy repository a release was built from. */
export type Source = {
  uri: string;
  commit: string;
  /** Whether files of the repository differ from that commit. */
  dirty: boolean;
  /** When the commit was made: Unix seconds. */
  committedAt: number;
};

/**
 * Asks git for the commit of the policy repository, whether its files differ from it, and where it is
 * published (`uri`, or the remote `origin`, without user name and password).
 * @throws ReleaseError `source-unknown` where git can't tell: a release without a commit could not be traced
 */
export async function readSourceOf(directory: string, uri: string | undefined): Promise<Source> {
  try {
    const [commit, committedAt] = (await git(directory, ['log', '-1', '--format=%H %ct'])).trim().split(' ');
    const status = await git(directory, ['status', '--porcelain', '--untracked-files=all', '--', '.']);
    if (commit === undefined || committedAt === undefined) throw new Error('git gave no commit');
    return {
      uri: uri ?? (await remoteOf(directory)),
      commit,
      dirty: status.trim() !== '',
      committedAt: Number(committedAt),
    };
  } catch (cause) {
    throw new ReleaseError(
      'source-unknown',
      `"${directory}" is not in a git repository with a commit: ${whyGitFailed(cause)}`,
      { cause, hint: 'Commit the policy repository first: every decision is traced to a commit.' },
    );
  }
}

/** What git itself said, or why it could not be run, on one line. */
function whyGitFailed(cause: unknown): string {
  const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr) : '';
  return escapeText((said === '' ? messageOf(cause) : said).trim()).slice(0, 300);
}

async function remoteOf(directory: string): Promise<string> {
  try {
    const url = (await git(directory, ['remote', 'get-url', 'origin'])).trim();
    return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1').slice(0, 2048);
  } catch {
    return '';
  }
}

async function git(directory: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run('git', ['-C', directory, ...args], {
    timeout: 30_000,
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, LC_ALL: 'C', GIT_OPTIONAL_LOCKS: '0', GIT_TERMINAL_PROMPT: '0' },
  });
  return stdout;
}
