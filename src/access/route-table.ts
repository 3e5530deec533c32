import type { Segment } from './normal-path.ts';
import { type Refusal, refuse } from './refusal.ts';
import type { RouteTemplate } from './template.ts';

/** A route and the text of each of its variables. */
export type RouteMatch<R> = { route: R; variables: ReadonlyMap<string, string> };

/** Finds the route of a request: the most specific one whose template fits. */
export type RouteTable<R> = (
  method: string,
  path: readonly Segment[],
) => RouteMatch<R> | Refusal<'no-route' | 'path-look-alike'>;

type Node<R> = {
  /** By the segment exactly as it must be sent. */
  literals: Map<string, Node<R>>;
  /** What the literals could be taken for. */
  lookAlikes: Set<string>;
  variable: Node<R> | undefined;
  /** Routes that end here, by method; those whose tail begins here. */
  ends: Map<string, R>;
  tails: Map<string, R>;
};

/**
 * Makes the table. In each segment a literal goes before a variable, and a variable before a tail; routes that
 * the build let pass cross nowhere, so the first that is found is more specific than every other that fits.
 * A segment that is no literal of its place but looks like one is refused, lest a variable's rule be applied to
 * what the server behind takes for the literal.
 */
export function createRouteTable<R extends { template: RouteTemplate }>(routes: readonly R[]): RouteTable<R> {
  const root = newNode<R>();
  for (const route of routes) insert(root, route);
  return (method, path) => {
    // Each node is at one depth, so that it is looked at once at most.
    const find = (node: Node<R>, depth: number, taken: readonly string[]): Found<R> => {
      const segment = path[depth];
      if (segment === undefined) {
        // "/admin" where "/admin/" is a route: a server may answer both alike.
        if (node.ends.size === 0 && node.literals.has('')) return LOOK_ALIKE;
        const route = node.ends.get(method);
        return route && { route, taken };
      }
      const literal = node.literals.get(segment.raw);
      if (literal === undefined) {
        const isNear = segment.raw === '' ? node.ends.size > 0 : node.lookAlikes.has(segment.lookAlike);
        if (isNear) return LOOK_ALIKE;
      } else {
        const found = find(literal, depth + 1, taken);
        if (found !== undefined) return found;
      }
      if (segment.raw === '') return undefined;
      if (node.variable !== undefined) {
        const found = find(node.variable, depth + 1, [...taken, segment.text]);
        if (found !== undefined) return found;
      }
      const route = node.tails.get(method);
      if (route === undefined || path.at(-1)?.raw === '') return undefined;
      return {
        route,
        taken: [
          ...taken,
          path
            .slice(depth)
            .map(({ text }) => text)
            .join('/'),
        ],
      };
    };
    const found = find(root, 0, []);
    if (found === undefined) return refuse('no-route', 'the release has no route for it');
    if (found === LOOK_ALIKE)
      return refuse('path-look-alike', 'it is not, but looks like, the path of a route');
    const names = found.route.template.parts.flatMap((part) => (part.kind === 'literal' ? [] : [part.name]));
    return {
      route: found.route,
      variables: new Map(names.map((name, index) => [name, found.taken[index] ?? ''])),
    };
  };
}

type Found<R> = { route: R; taken: readonly string[] } | typeof LOOK_ALIKE | undefined;
const LOOK_ALIKE = 'look-alike';

function newNode<R>(): Node<R> {
  return {
    literals: new Map(),
    lookAlikes: new Set(),
    variable: undefined,
    ends: new Map(),
    tails: new Map(),
  };
}

function insert<R extends { template: RouteTemplate }>(root: Node<R>, route: R): void {
  let node = root;
  for (const part of route.template.parts) {
    if (part.kind === 'tail') {
      for (const method of route.template.methods) node.tails.set(method, route);
      return;
    }
    if (part.kind === 'variable') {
      node = node.variable ??= newNode();
      continue;
    }
    const { raw, lookAlike } = part.segment;
    let next = node.literals.get(raw);
    if (next === undefined) node.literals.set(raw, (next = newNode()));
    if (raw !== '') node.lookAlikes.add(lookAlike);
    node = next;
  }
  for (const method of route.template.methods) node.ends.set(method, route);
}
