// @vitest-environment node
import { describe, expect, it } from 'vitest';

import { createStore } from './store';

function counter() {
  const frames: (() => void)[] = [];
  const store = createStore<number, number>(
    (sum, n) => sum + n,
    0,
    (draw) => frames.push(draw),
  );
  let heard = 0;
  const stop = store.subscribe(() => heard++);
  return {
    store,
    frames,
    stop,
    heard: () => heard,
    draw: () => frames.splice(0).forEach((frame) => void frame()),
  };
}

describe('the store', () => {
  it('tells of many messages once a frame', () => {
    const { store, frames, heard, draw } = counter();
    for (let i = 0; i < 100; i++) store.dispatch(1);
    expect([frames.length, heard(), store.getSnapshot(), store.current()]).toEqual([1, 0, 0, 100]);
    draw();
    expect([heard(), store.getSnapshot()]).toEqual([1, 100]);
  });

  it('asks for the next frame only when there is something to tell', () => {
    const { store, frames, heard, draw } = counter();
    store.dispatch(0);
    expect(frames).toHaveLength(0);
    store.dispatch(1);
    store.dispatch(-1);
    draw();
    expect(heard()).toBe(0);
    store.dispatch(1);
    draw();
    expect(heard()).toBe(1);
  });

  it('no longer tells who has left', () => {
    const { store, stop, heard, draw } = counter();
    stop();
    store.dispatch(1);
    draw();
    expect(heard()).toBe(0);
  });
});
