import type { BytePath } from '../../base/byte-path.ts';
import type { Finding } from '../../base/finding.ts';

/** Findings that a check gives back; the rest is counted. The same number as a verdict carries. */
export const MAX_FINDINGS = 100;

/** Findings kept between two prunings, so that a tree full of strange files costs no memory to speak of. */
const MAX_KEPT = 2000;

/** A finding and where it stands in the order of the manifest. */
export type PlacedFinding = { key: string; finding: Finding };

/** Collects findings and keeps the first `MAX_FINDINGS` in the order of the manifest. */
export class FindingList {
  total = 0;
  #placed: PlacedFinding[] = [];
  readonly #onFirst: ((finding: Finding) => void) | undefined;

  /** `onFirst` hears of the first finding as soon as there is one. */
  constructor(onFirst?: (finding: Finding) => void) {
    this.#onFirst = onFirst;
  }

  add(path: BytePath, finding: Finding): void {
    if (this.total === 0) this.#onFirst?.(finding);
    this.total += 1;
    // A slash sorts below every byte of a name, as the manifest orders.
    this.#placed.push({ key: path.replaceAll('/', '\0'), finding });
    if (this.#placed.length > MAX_KEPT) this.#prune();
  }

  /** Adds what another list, of a worker, kept and counted. */
  merge(placed: readonly PlacedFinding[], total: number): void {
    const [first] = placed;
    if (this.total === 0 && first !== undefined) this.#onFirst?.(first.finding);
    this.total += total;
    this.#placed.push(...placed);
    if (this.#placed.length > MAX_KEPT) this.#prune();
  }

  /** The first findings in order. */
  first(): PlacedFinding[] {
    this.#prune();
    return this.#placed;
  }

  #prune(): void {
    this.#placed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    this.#placed = this.#placed.slice(0, MAX_FINDINGS);
  }
}
