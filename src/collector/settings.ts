import { CollectorError } from './collector-error.ts';

/** What an operator may choose. */
export type CollectorSettings = {
  /** Seconds between a host's reports, as told to each in every answer. Three missed make it `silent`. */
  intervalSeconds: number;
  /** Hosts known at most: a host names itself, so that whoever can reach the collector can add one. */
  maxHosts: number;
};

export const DEFAULT_SETTINGS: CollectorSettings = { intervalSeconds: 60, maxHosts: 20_000 };

/** A host not heard for this long is taken for replaced: it leaves the list of those that need attention. */
export const GONE_SECONDS: number = 24 * 3600;
/** A host not heard for this long is removed, with its reports. */
export const FORGET_SECONDS: number = 30 * 24 * 3600;

/**
 * Fills in what was not chosen.
 * @throws CollectorError `settings-invalid`
 */
export function completeSettings(chosen: Partial<CollectorSettings>): CollectorSettings {
  const settings = { ...DEFAULT_SETTINGS, ...chosen };
  requireWhole('intervalSeconds', settings.intervalSeconds, 1, 86_400);
  requireWhole('maxHosts', settings.maxHosts, 1, 1_000_000);
  return settings;
}

function requireWhole(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new CollectorError(
    'settings-invalid',
    `${name} is ${value}; it must be a whole number from ${min} to ${max}`,
  );
}
