import { act, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { State } from '../live/state';
import { Announcer, QUIET } from './Announcer';
import { afterwards, described, happened, subscribed, table } from './testing';

const start = happened(
  described(),
  subscribed(),
  { type: 'follow', member: 'Cy' },
  table({ Ann: 30, Bob: 20, Cy: 10 }),
);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function listen(state: State) {
  const { rerender } = render(<Announcer state={state} />);
  const wait = (milliseconds: number) => act(() => vi.advanceTimersByTime(milliseconds));
  wait(0);
  return {
    wait,
    tell: (state: State) => {
      rerender(<Announcer state={state} />);
      wait(0);
    },
    heard: () => screen.getByRole('status').textContent,
  };
}

describe('the announcer', () => {
  it('tells who leads and where the followed member stands', () => {
    expect(listen(start).heard()).toBe('Ann leads with 30. Cy is 3rd.');
  });

  it('then waits, and tells the newest, with the way since it last spoke', () => {
    const { tell, wait, heard } = listen(start);
    tell(afterwards(start, table({ Ann: 30, Cy: 25, Bob: 20 })));
    wait(QUIET - 1);
    expect(heard()).toBe('Ann leads with 30. Cy is 3rd.');
    tell(afterwards(start, table({ Cy: 35, Ann: 30, Bob: 20 })));
    wait(1);
    expect(heard()).toBe('Cy leads with 35. Cy is 1st, up 2.');
  });

  it('keeps silent about scores alone', () => {
    const { tell, wait, heard } = listen(start);
    tell(afterwards(start, table({ Ann: 300, Bob: 200, Cy: 100 })));
    wait(10 * QUIET);
    expect(heard()).toBe('Ann leads with 30. Cy is 3rd.');
  });

  it('tells that the connection is lost for long, and that it is back', () => {
    const { tell, wait, heard } = listen(start);
    wait(QUIET);
    const lost = afterwards(start, { type: 'lost', at: 1 });
    tell(lost);
    wait(QUIET);
    expect(heard()).toBe('Ann leads with 30. Cy is 3rd.');
    const stale = afterwards(lost, { type: 'tick', at: 60_000 });
    tell(stale);
    wait(QUIET);
    expect(heard()).toBe('Connection lost. The table stays as it was.');
    tell(afterwards(stale, subscribed(61_000)));
    wait(QUIET);
    expect(heard()).toBe('Live again.');
  });
});
