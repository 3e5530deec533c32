import { imagePath } from '../base/image-path.ts';
import {
  DEFAULT_BUNDLE_DIRECTORY,
  DEFAULT_REHASH,
  type MeasureRules,
  meaningful,
  rehashCorePercent,
  rehashHours,
} from '../base/measure-rules.ts';
import { type MountRule, extension, fileSystemType, mountOption, rootHash } from '../base/mount-rules.ts';
import {
  BOUNDS,
  type MutableArea,
  type MutableFile,
  bound,
  ownerId,
  plainMode,
} from '../base/mutable-rules.ts';
import { type Reader, bool, list, mapped, oneOf, optional, record } from '../base/shape.ts';
import { PRESETS, type PresetName, withPresets } from './presets.ts';

const PRESET_NAMES = Object.keys(PRESETS) as PresetName[];

/** A plain path, or one with what may be there. */
const areaWithBounds: Reader<MutableArea> = mapped(
  record({ path: imagePath, allow: optional(list(bound, { max: BOUNDS.length })) }),
  ({ path, allow = [] }) => ({ path, allow }),
);

const writtenArea: Reader<MutableArea> = (value, path, problems) =>
  typeof value === 'string'
    ? { path: imagePath(value, path, problems), allow: [] }
    : areaWithBounds(value, path, problems);

const writtenFile: Reader<MutableFile> = mapped(
  record({
    path: imagePath,
    mode: plainMode,
    uid: optional(ownerId),
    gid: optional(ownerId),
    link: optional(bool),
  }),
  ({ path, mode, uid = 0, gid = 0, link = false }) => ({ path, mode, uid, gid, link }),
);

const writtenMount: Reader<MountRule> = mapped(
  record({
    path: imagePath,
    types: optional(list(fileSystemType, { max: 32 })),
    require: optional(list(mountOption)),
    forbid: optional(list(mountOption)),
    optional: optional(bool),
    rootHash: optional(rootHash),
  }),
  ({ path, types = [], require = [], forbid = [], optional = false, rootHash: hash }) => ({
    path,
    types,
    require,
    forbid,
    optional,
    ...(hash === undefined ? {} : { rootHash: hash }),
  }),
);

/**
 * Reads the section `measure` of sealborn.yaml into the rules that a release states: what a person may leave
 * out is filled in, and presets are written out.
 */
export const measureSettings: Reader<MeasureRules> = meaningful(
  mapped(
    record({
      roots: list(imagePath, { min: 1, max: 64 }),
      presets: optional(list(oneOf(...PRESET_NAMES))),
      mutable: optional(list(writtenArea, { max: 1024 })),
      mutableFiles: optional(list(writtenFile, { max: 1024 })),
      absent: optional(list(imagePath, { max: 1024 })),
      bundle: optional(imagePath),
      mounts: optional(list(writtenMount, { max: 256 })),
      extensions: optional(list(extension)),
      rehash: optional(record({ hours: optional(rehashHours), corePercent: optional(rehashCorePercent) })),
      fsVerity: optional(bool),
    }),
    ({ presets = [], rehash, ...written }) => {
      const rules: MeasureRules = {
        roots: written.roots,
        mutable: written.mutable ?? [],
        mutableFiles: written.mutableFiles ?? [],
        absent: written.absent ?? [],
        bundle: written.bundle ?? DEFAULT_BUNDLE_DIRECTORY,
        mounts: written.mounts ?? [],
        extensions: written.extensions ?? [],
        rehash: {
          hours: rehash?.hours ?? DEFAULT_REHASH.hours,
          corePercent: rehash?.corePercent ?? DEFAULT_REHASH.corePercent,
        },
        fsVerity: written.fsVerity ?? false,
      };
      return withPresets(rules, presets);
    },
  ),
);
