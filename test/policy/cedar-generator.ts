/** Random whole numbers from 0 to below `n`, from a seed. */
export type Random = (n: number) => number;

export function makeRandom(seed: number): Random {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % n;
  };
}

/** Every kind of type that a schema has, in attributes, tags and context. */
export const SCHEMA = `
entity Group in [Group];
entity User in [Group] = {
  n: Long, s: String, b: Bool, boss?: User, names: Set<String>, friends: Set<User>, when: datetime, span: duration,
  ip: ipaddr, price: decimal, "odd name"?: Long, home: { city?: String, zip: { code: Long } },
} tags Set<Long>;
entity File in [File, Group] = { owner: User, size?: Long, labels: Set<Long> } tags String;
entity Color enum ["red", "green"];
action all;
action read, write in [all] appliesTo {
  principal: [User, Group], resource: [File, Color],
  context: { n?: Long, ip?: ipaddr, at: datetime, who: User, set: Set<Set<Long>>, "__proto__"?: String, r: { a: Long, constructor?: Long } },
};
action look in [read] appliesTo { principal: User, resource: User, context: { at: datetime, who: User } };
`;

type Type =
  | 'Long'
  | 'String'
  | 'Bool'
  | 'Entity'
  | 'Record'
  | 'SetLong'
  | 'SetString'
  | 'SetEntity'
  | 'decimal'
  | 'ip'
  | 'datetime'
  | 'duration';
const TYPES: readonly Type[] = [
  'Long',
  'String',
  'Bool',
  'Entity',
  'Record',
  'SetLong',
  'SetString',
  'SetEntity',
  'decimal',
  'ip',
  'datetime',
  'duration',
];

const SMALL = ['0', '1', '(-1)', '2', '3', '7', '1000'];
const LONGS = [
  '0',
  '1',
  '(-1)',
  '2',
  '3',
  '7',
  '1000',
  '9007199254740991',
  '9007199254740992',
  '9007199254740993',
  '(-9007199254740993)',
  '4611686018427387904',
  '9223372036854775807',
  '(-9223372036854775808)',
  '3037000500',
];
const STRINGS = [
  '',
  'a',
  'ab',
  'abc',
  'a*b',
  '__proto__',
  'constructor',
  'toString',
  '10.0.0.1',
  '1.5',
  '2024-02-29',
  'é😀',
  'x\\u{41}y',
  '\\n\\"\\\\',
  'city',
];
const DECIMALS = [
  '0.0',
  '-0.5',
  '-0.0',
  '1.5',
  '1.50',
  '1.2345',
  '1.23456',
  '-1.0001',
  '922337203685477.5807',
  '922337203685477.5808',
  '-922337203685477.5808',
  '-922337203685477.5809',
  '1',
  '1.',
  '.5',
  '+1.0',
  '01.10',
  ' 1.0',
  '١.0',
];
const IPS = [
  '127.0.0.1',
  '127.0.0.0/8',
  '127.0.0.1/7',
  '10.0.0.1',
  '10.0.0.0/8',
  '10.1.2.3/16',
  '0.0.0.0/0',
  '255.255.255.255',
  '224.0.0.1',
  '224.0.0.0/3',
  '239.1.1.1/4',
  '::',
  '::1',
  '::1/127',
  '::/0',
  'ff00::',
  'ff02::1/8',
  'ff02::1/7',
  '1:2:3:4:5:6:7:8',
  '1:2:3:4:5:6:7::',
  '::2:3:4:5:6:7:8',
  '1::8/128',
  '::ffff:1.2.3.4',
  '::ffff:102:304',
  '1.2.3',
  '1.2.3.4.5',
  '01.2.3.4',
  '256.1.1.1',
  '1.2.3.4/33',
  '1.2.3.4/',
  '1.2.3.4/08',
  '1.2.3.4/+8',
  '::1/129',
  'fe80::1%eth0',
  '[::1]',
  '1:::2',
  'g::',
  'ABCD::ef01',
  '12345::',
  ' ::1',
  '',
];
const DATETIMES = [
  '1970-01-01',
  '2024-02-29',
  '2023-02-29',
  '2024-12-31',
  '2024-13-01',
  '0000-01-01',
  '0000-02-29',
  '0099-12-31',
  '9999-12-31T23:59:59.999Z',
  '2024-01-01T00:00:00Z',
  '2024-01-01T23:59:59.999Z',
  '2024-01-01T12:30:00+0530',
  '2024-01-01T12:30:00.001-0130',
  '2024-01-01T24:00:00Z',
  '2024-01-01T23:60:00Z',
  '2024-01-01T23:59:60Z',
  '2024-01-01T00:00:00',
  '2024-01-01T00:00:00.5Z',
  '2024-01-01T00:00:00+2400',
  '2024-01-01T00:00:00-2359',
  '2024-01-01T00:00:00+0060',
  '2024-1-1',
  '1969-12-31T23:59:59.999Z',
  '2024-01-01t00:00:00z',
  '2024-04-31',
  '2100-02-29',
  '2000-02-29',
  '10000-01-01',
  '',
];
const DURATIONS = [
  '0ms',
  '1ms',
  '-1ms',
  '1s',
  '1m',
  '1h',
  '1d',
  '-1d',
  '1d2h3m4s5ms',
  '1h1d',
  '9223372036854775807ms',
  '-9223372036854775808ms',
  '9223372036854775808ms',
  '106751991167d',
  '106751991168d',
  '-106751991167d7h12m55s808ms',
  '-106751991167d7h12m55s809ms',
  '1',
  '',
  '-',
  '1.5s',
  '+1s',
  '0d0h',
  '86399999ms',
  '99999999999999999999d',
  '12ms3s',
];

const GOOD: Readonly<Record<'decimal' | 'ip' | 'datetime' | 'duration', readonly string[]>> = {
  decimal: ['0.0', '-0.5', '1.5', '1.50', '1.2345', '922337203685477.5807'],
  ip: ['127.0.0.1', '10.0.0.1', '10.0.0.0/8', '224.0.0.1', '::1', 'ff02::1/8', '0.0.0.0/0', '::/0'],
  datetime: ['1970-01-01', '2024-02-29', '2024-01-01T12:30:00+0530', '1969-12-31T23:59:59.999Z'],
  duration: ['0ms', '1ms', '-1d', '1d2h3m4s5ms', '86399999ms'],
};

/** The text of an extension value: three in four are right, the others are at the edge or beyond. */
function textOf(random: Random, type: keyof typeof GOOD): string {
  const all = { decimal: DECIMALS, ip: IPS, datetime: DATETIMES, duration: DURATIONS }[type];
  return pick(random, random(4) > 0 ? GOOD[type] : all);
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[random(from.length)] as T;
}

/** A policy of any scope with conditions; most are of the right types, some are not. */
export function generatePolicy(random: Random): string {
  const effect = pick(random, ['permit', 'permit', 'forbid']);
  const user = pick(random, ['User::"u0"', 'User::"u1"', 'User::"ghost"', 'Group::"g0"', 'Group::"g1"']);
  const file = pick(random, ['File::"f0"', 'File::"f1"', 'Group::"g0"', 'Color::"red"', 'User::"u0"']);
  const principal = pick(random, [
    '',
    '',
    ` == ${user}`,
    ` in ${user}`,
    ' is User',
    ` is User in ${user}`,
    ' is Group',
  ]);
  const resource = pick(random, [
    '',
    '',
    ` == ${file}`,
    ` in ${file}`,
    ' is File',
    ` is File in ${file}`,
    ' is User',
  ]);
  const action = pick(random, [
    '',
    '',
    ' == Action::"read"',
    ' in Action::"all"',
    ' in [Action::"write", Action::"read"]',
    ' in []',
    ' == Action::"look"',
  ]);
  const conditions = Array.from(
    { length: 1 + random(2) },
    () =>
      `${pick(random, ['when', 'when', 'unless'])} { ${expression(random, random(12) === 0 ? anyType(random) : 'Bool', 1 + random(4))} }`,
  );
  return `${effect} (principal${principal}, action${action}, resource${resource}) ${conditions.join(' ')};`;
}

function anyType(random: Random): Type {
  return pick(random, TYPES);
}

function expression(random: Random, type: Type, depth: number): string {
  // One in sixty is of another type: type errors must be the same too.
  const wanted = random(60) === 0 ? anyType(random) : type;
  if (depth <= 0) return `(${leaf(random, wanted)})`;
  if (random(12) === 0) {
    const branch = (): string => expression(random, wanted, depth - 1);
    return `(if ${expression(random, 'Bool', depth - 1)} then ${branch()} else ${branch()})`;
  }
  return `(${node(random, wanted, (other) => expression(random, other, depth - 1))})`;
}

function node(random: Random, type: Type, sub: (type: Type) => string): string {
  const other = anyType(random);
  const choose = (...options: (() => string)[]): string => pick(random, options)();
  switch (type) {
    case 'Bool':
      return choose(
        () => `(${sub('Bool')} && ${sub('Bool')})`,
        () => `(${sub('Bool')} || ${sub('Bool')} || ${sub('Bool')})`,
        () => `!(${sub('Bool')})`,
        () =>
          `(${sub(other)} ${pick(random, ['==', '!='])} ${sub(random(4) === 0 ? anyType(random) : other)})`,
        () => `(${sub('Long')} ${pick(random, ['<', '<=', '>', '>='])} ${sub('Long')})`,
        () => `(${sub('datetime')} ${pick(random, ['<', '<=', '>', '>='])} ${sub('datetime')})`,
        () => `(${sub('duration')} ${pick(random, ['<', '<=', '>', '>='])} ${sub('duration')})`,
        () => `(${sub('Entity')} in ${sub(pick(random, ['Entity', 'SetEntity'] as const))})`,
        () => `(${sub('Entity')} is ${pick(random, ['User', 'Group', 'File'])})`,
        () => `(${sub('Entity')} is User in ${sub(pick(random, ['Entity', 'SetEntity'] as const))})`,
        () =>
          `(${sub('String')} like "${pick(random, ['*', '', 'a*', '*b', 'a*b', 'a\\*b', '*😀', '*a*b*', 'é?'])}")`,
        () =>
          `(${sub(pick(random, ['Entity', 'Record'] as const))} has ${pick(random, ['n', 'boss', 'home.zip.code', 'home.city', 'boss.boss.n', 'a.b', '"odd name"', '"__proto__"', 'constructor', 'toString'])})`,
        () => `${sub('SetLong')}.contains(${sub('Long')})`,
        () => `${sub('SetString')}.contains(${sub('String')})`,
        () => `[${sub(other)}, ${sub(other)}].contains(${sub(other)})`,
        () => `${sub('SetLong')}.${pick(random, ['containsAll', 'containsAny'])}(${sub('SetLong')})`,
        () => `${sub('SetEntity')}.${pick(random, ['containsAll', 'containsAny'])}(${sub('SetEntity')})`,
        () => `${sub(pick(random, ['SetLong', 'SetString'] as const))}.isEmpty()`,
        () => `${sub('Entity')}.hasTag(${sub('String')})`,
        () =>
          `${sub('decimal')}.${pick(random, ['lessThan', 'lessThanOrEqual', 'greaterThan', 'greaterThanOrEqual'])}(${sub('decimal')})`,
        () => `${sub('ip')}.${pick(random, ['isIpv4', 'isIpv6', 'isLoopback', 'isMulticast'])}()`,
        () => `${sub('ip')}.isInRange(${sub('ip')})`,
      );
    case 'Long':
      return choose(
        () => `(${sub('Long')} ${pick(random, ['+', '-', '*'])} ${sub('Long')})`,
        () => `-(${sub('Long')})`,
        () =>
          `${sub('duration')}.${pick(random, ['toMilliseconds', 'toSeconds', 'toMinutes', 'toHours', 'toDays'])}()`,
        () => `${sub('Entity')}.n`,
        () => `${sub('Entity')}["odd name"]`,
        () => `${sub('Record')}.${pick(random, ['a', 'n', 'code', 'zip.code', 'constructor'])}`,
      );
    case 'String':
      return choose(
        () => `${sub('Entity')}.s`,
        () => `${sub('Record')}${pick(random, ['.city', '["__proto__"]', '.toString'])}`,
        () => `${sub('Entity')}.getTag(${sub('String')})`,
      );
    case 'Entity':
      return choose(
        () => `${sub('Entity')}.boss`,
        () => `${sub('Entity')}.owner`,
      );
    case 'Record':
      return choose(
        () => `{ a: ${sub('Long')}, "city": ${sub('String')}, "__proto__": ${sub('String')} }`,
        () => `{ n: ${sub(other)}, zip: { code: ${sub('Long')} } }`,
        () => `${sub('Entity')}.home`,
      );
    case 'SetLong':
      return choose(
        () => `[${sub('Long')}, ${sub('Long')}]`,
        () => `${sub('Entity')}.labels`,
        () => `${sub('Entity')}.getTag(${sub('String')})`,
      );
    case 'SetString':
      return choose(
        () => `[${sub('String')}, ${sub('String')}]`,
        () => `${sub('Entity')}.names`,
      );
    case 'SetEntity':
      return choose(
        () => `[${sub('Entity')}, ${sub('Entity')}]`,
        () => `${sub('Entity')}.friends`,
      );
    case 'decimal':
      return choose(
        () => leaf(random, 'decimal'),
        () => leaf(random, 'decimal'),
        () => `decimal(${sub('String')})`,
        () => `${sub('Entity')}.price`,
      );
    case 'ip':
      return choose(
        () => leaf(random, 'ip'),
        () => leaf(random, 'ip'),
        () => `ip(${sub('String')})`,
        () => `${sub('Entity')}.ip`,
      );
    case 'datetime':
      return choose(
        () => `${sub('datetime')}.offset(${sub('duration')})`,
        () => `${sub('datetime')}.toDate()`,
        () => `${sub('Entity')}.when`,
      );
    case 'duration':
      return choose(
        () => `${sub('datetime')}.durationSince(${sub('datetime')})`,
        () => `${sub('datetime')}.toTime()`,
        () => `${sub('Entity')}.span`,
      );
  }
}

function leaf(random: Random, type: Type): string {
  switch (type) {
    case 'Bool':
      return pick(random, [
        'true',
        'true',
        'false',
        'principal.b',
        'context has n',
        'context has "__proto__"',
      ]);
    case 'Long':
      return random(3) > 0
        ? pick(random, random(3) > 0 ? SMALL : LONGS)
        : pick(random, ['principal.n', 'context.n', 'context.r.a', 'context.r.constructor', 'resource.size']);
    case 'String':
      return random(3) > 0
        ? `"${pick(random, STRINGS)}"`
        : pick(random, ['principal.s', 'context["__proto__"]']);
    case 'Entity':
      return pick(random, [
        'principal',
        'resource',
        'action',
        'context.who',
        'User::"u0"',
        'User::"u1"',
        'User::"ghost"',
        'Group::"g0"',
        'Group::"g2"',
        'File::"f1"',
        'Action::"all"',
        'Color::"red"',
      ]);
    case 'Record':
      return pick(random, ['context', 'context.r', 'principal.home', '{}', '{ a: 1, n: 9007199254740993 }']);
    case 'SetLong':
      return pick(random, ['[]', '[1]', '[1, 2, 2]', '[9007199254740993, 1]', 'resource.labels']);
    case 'SetString':
      return pick(random, ['[]', '["a"]', '["a", "__proto__"]', 'principal.names']);
    case 'SetEntity':
      return pick(random, [
        '[]',
        '[User::"u0"]',
        '[Group::"g0", Group::"g1"]',
        'principal.friends',
        '[principal, resource]',
      ]);
    case 'decimal':
      return `decimal("${textOf(random, 'decimal')}")`;
    case 'ip':
      return random(8) === 0 ? 'context.ip' : `ip("${textOf(random, 'ip')}")`;
    case 'datetime':
      return random(8) === 0 ? 'context.at' : `datetime("${textOf(random, 'datetime')}")`;
    case 'duration':
      return `duration("${textOf(random, 'duration')}")`;
  }
}
