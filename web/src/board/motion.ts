/** The height of a row in pixels. Fixed, so that a row's place follows from its index and nothing is measured. */
export const ROW = 56;

const MOVE = { duration: 320, easing: 'cubic-bezier(0.2, 0.7, 0.2, 1)' } as const;
const FLASH_AGAIN = 400; // milliseconds; more than three flashes a second are a danger to some

export interface Spot {
  readonly index: number;
  readonly score: number;
}

/** The browser draws no frames in a hidden tab; animations would wait there and all play on return. */
export function mayAnimate(): boolean {
  return !document.hidden && !matchMedia('(prefers-reduced-motion: reduce)').matches;
}

const flashedAt = new WeakMap<Element, number>();

/**
 * Plays how a row came to where it now stands. The row is already there; the way is added on top of its
 * transform, so that several moves in quick succession add up to one smooth way, and no layout is read.
 */
export function playMove(row: HTMLElement, from: Spot | undefined, to: Spot) {
  if (!from) {
    row.animate([{ opacity: 0 }, { opacity: 1 }], MOVE);
    return;
  }
  const way = (from.index - to.index) * ROW;
  if (Math.abs(way) > innerHeight) {
    row.animate([{ opacity: 0 }, { opacity: 1 }], MOVE);
  } else if (way !== 0) {
    row.animate([{ transform: `translateY(${way}px)` }, { transform: 'translateY(0)' }], {
      ...MOVE,
      composite: 'add',
    });
    // Who climbs passes in front of whom it overtakes.
    if (way > 0) row.animate([{ zIndex: 1 }, { zIndex: 1 }], MOVE.duration);
  }
  if (from.score !== to.score && performance.now() - (flashedAt.get(row) ?? -FLASH_AGAIN) >= FLASH_AGAIN) {
    flashedAt.set(row, performance.now());
    row.animate([{ opacity: 1 }, { opacity: 0 }], {
      duration: 1_100,
      easing: 'ease-out',
      pseudoElement: '::after',
    });
  }
}
