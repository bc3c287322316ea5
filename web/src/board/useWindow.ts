import { type RefObject, useLayoutEffect, useState } from 'react';

import { ROW } from './motion';

const OVERSCAN = 8; // rows above and below what can be seen
const STEP = 4; // so that the range does not change with every pixel

export interface Range {
  readonly first: number;
  readonly last: number; // exclusive
}

/** Which of so many rows are near enough to the screen to be drawn, while the window scrolls over the list. */
export function useWindow(list: RefObject<HTMLElement | null>, count: number): Range {
  const [range, setRange] = useState<Range>({ first: 0, last: 24 });

  useLayoutEffect(() => {
    function measure() {
      if (!list.current) return;
      const top = list.current.getBoundingClientRect().top;
      const next = rangeAt(top, innerHeight);
      setRange((range) => (range.first === next.first && range.last === next.last ? range : next));
    }
    measure();
    addEventListener('scroll', measure, { passive: true });
    addEventListener('resize', measure);
    return () => {
      removeEventListener('scroll', measure);
      removeEventListener('resize', measure);
    };
  }, [list]);

  return { first: Math.min(range.first, count), last: Math.min(range.last, count) };
}

/** The range of rows for a list whose upper edge stands so far from the top of a window of that height. */
export function rangeAt(top: number, height: number): Range {
  const first = Math.floor(-top / ROW) - OVERSCAN;
  const last = Math.ceil((height - top) / ROW) + OVERSCAN;
  return {
    first: Math.max(0, Math.floor(first / STEP) * STEP),
    last: Math.max(0, Math.ceil(last / STEP) * STEP),
  };
}
