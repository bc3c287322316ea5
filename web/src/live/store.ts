/** Calls back before the next frame is drawn, as requestAnimationFrame does. */
export type Frame = (draw: () => void) => void;

export interface Store<State, Message> {
  /** Takes a message in. Subscribers hear of it with the next frame, once for all messages since the last. */
  dispatch(message: Message): void;
  /** The state with every message in it. */
  current(): State;
  /** The state as of the last frame. */
  getSnapshot(): State;
  subscribe(listener: () => void): () => void;
}

/**
 * A store that tells its subscribers at most once a frame, however fast messages come. Browsers draw no
 * frames in a hidden tab, so it also falls silent there, and catches up at once when the tab is seen again.
 */
export function createStore<State, Message>(
  reduce: (state: State, message: Message) => State,
  initial: State,
  frame: Frame = requestAnimationFrame,
): Store<State, Message> {
  let newest = initial;
  let snapshot = initial;
  let waiting = false;
  const listeners = new Set<() => void>();

  function draw() {
    waiting = false;
    if (snapshot === newest) return;
    snapshot = newest;
    for (const listener of listeners) listener();
  }

  return {
    dispatch(message) {
      newest = reduce(newest, message);
      if (newest === snapshot || waiting) return;
      waiting = true;
      frame(draw);
    },
    current: () => newest,
    getSnapshot: () => snapshot,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
