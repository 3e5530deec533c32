import { type Socket, connect } from 'node:net';

import type { Verdict, VerdictReason } from '../attestation/verdict.ts';
import { messageOf } from '../base/errors.ts';
import { createLineReader } from '../host/net/lines.ts';
import { AgentError } from './agent-error.ts';
import { type ChannelMessage, MAX_MESSAGE_BYTES, SILENCE_MS, parseMessage } from './channel-message.ts';

/** What the serving half knows of the verdict. Only a live one may be believed. */
export type VerdictView =
  | { live: true; verdict: Verdict }
  | { live: false; reason: VerdictReason; last: Verdict | undefined };

export type VerdictFollower = {
  /** What stands at this moment; checks the clock itself, so a late timer can't stretch an old verdict. */
  view: () => VerdictView;
  /** Milliseconds since the measuring half was last heard; undefined where it is not connected. */
  silenceMs: () => number | undefined;
  close: () => void;
};

export type FollowOptions = {
  path: string;
  /** Told of every new view, after `view()` gives it. */
  onChange: (view: VerdictView) => void;
  /** Whether the process at the other end may be the measuring half; anyone's word counts where it is left out. */
  isMeasurer?: (socket: Socket) => boolean;
  /** Milliseconds of a clock that never goes back. */
  clock?: () => number;
  silenceMs?: number;
  /** The first and the longest wait before the next connection is tried. */
  retryMs?: { first: number; most: number };
};

/**
 * The serving half's end of verdict.sock. A closed socket, a silence of five seconds, a line that is too long
 * or malformed, a heartbeat that does not count up: each ends the belief in the verdict at once, and a new
 * connection is tried with a growing wait.
 */
export function followVerdict(options: FollowOptions): VerdictFollower {
  const { path, onChange, clock = () => performance.now(), silenceMs = SILENCE_MS } = options;
  const retry = options.retryMs ?? { first: 50, most: 1000 };
  let view: VerdictView = {
    live: false,
    reason: { code: 'measurer-unreachable', message: 'the measuring half was not heard yet' },
    last: undefined,
  };
  let socket: Socket | undefined;
  let heardAt: number | undefined;
  let count = 0;
  let wait = retry.first;
  let silence: NodeJS.Timeout | undefined;
  let reconnect: NodeJS.Timeout | undefined;
  let closed = false;

  const lose = (code: string, message: string): void => {
    clearTimeout(silence);
    heardAt = undefined;
    const ended = socket;
    socket = undefined;
    ended?.destroy();
    if (closed) return;
    clearTimeout(reconnect);
    reconnect = setTimeout(open, wait);
    wait = Math.min(wait * 2, retry.most);
    if (!view.live && view.reason.code === code) return;
    view = { live: false, reason: { code, message }, last: view.live ? view.verdict : view.last };
    onChange(view);
  };

  const hear = (message: ChannelMessage): void => {
    heardAt = clock();
    clearTimeout(silence);
    silence = setTimeout(checkSilence, silenceMs);
    wait = retry.first;
    switch (message.type) {
      case 'heartbeat':
        if (message.count <= count) throw new AgentError('channel-malformed', 'a heartbeat did not count up');
        count = message.count;
        break;
      case 'verdict':
        view = { live: true, verdict: message.verdict };
        onChange(view);
        break;
    }
  };

  const isSilent = (): boolean => heardAt !== undefined && clock() - heardAt >= silenceMs;
  const silent = (): VerdictReason => ({
    code: 'measurer-silent',
    message: `the measuring half was silent for ${silenceMs / 1000} s`,
  });
  const checkSilence = (): void => {
    clearTimeout(silence);
    if (heardAt === undefined) return;
    if (!isSilent()) {
      silence = setTimeout(checkSilence, silenceMs);
      return;
    }
    // Where this process was busy, heartbeats may wait unread in the socket. A timer and then an immediate have
    // a whole turn of the event loop between them, in which it is read.
    silence = setTimeout(() => {
      setImmediate(() => {
        const { code, message } = silent();
        if (isSilent()) lose(code, message);
        else checkSilence();
      });
    }, 0);
  };

  const open = (): void => {
    const opened = connect(path);
    const read = createLineReader(MAX_MESSAGE_BYTES);
    socket = opened;
    count = 0;
    heardAt = clock();
    silence = setTimeout(checkSilence, silenceMs);
    opened.on('connect', () => {
      if (socket !== opened || options.isMeasurer === undefined || options.isMeasurer(opened)) return;
      lose('measurer-foreign', 'verdict.sock is held by a process that is not the measuring half');
    });
    opened.on('data', (chunk: Buffer) => {
      try {
        for (const line of read(chunk)) if (socket === opened) hear(parseMessage(line));
      } catch (thrown) {
        if (socket === opened) lose('measurer-malformed', `the measuring half: ${messageOf(thrown)}`);
      }
    });
    opened.on('error', () => undefined); // 'close' follows
    opened.on('close', () => {
      if (socket === opened) lose('measurer-unreachable', 'the measuring half is not there');
    });
  };

  open();
  return {
    view: () => {
      if (!isSilent()) return view;
      checkSilence();
      return { live: false, reason: silent(), last: view.live ? view.verdict : view.last };
    },
    silenceMs: () => (heardAt === undefined || !view.live ? undefined : clock() - heardAt),
    close: () => {
      closed = true;
      clearTimeout(reconnect);
      lose('closed', 'closed');
    },
  };
}
