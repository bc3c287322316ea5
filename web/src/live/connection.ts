import { Centrifuge, type SubscribedContext, type Subscription, type UnsubscribedContext } from 'centrifuge';

import { fetchBoard } from './http';
import type { Message, State } from './state';
import type { Store } from './store';

export type BoardStore = Store<State, Message>;

const MISSING_RETRY = 2_000; // a board that is not there may appear
const DESCRIBE_AGAIN = 120_000; // an operator may change a board's settings
const REFUSED_RETRY = 1_000;
const RESYNC_EVERY = 5_000;
const UNSUBSCRIBED_BY_US = 0;
const CLOSED_BY_US = 2;

/**
 * The page's one connection. It is open while somebody watches a board, through WebSocket or, where that
 * does not get through, HTTP streaming or server-sent events; and it comes back by itself.
 */
export class Connection {
  readonly #client: Centrifuge;
  #watchers = 0;

  constructor(origin: string) {
    this.#client = new Centrifuge(
      [
        { transport: 'websocket', endpoint: `${origin.replace(/^http/, 'ws')}/connection/websocket` },
        { transport: 'http_stream', endpoint: `${origin}/connection/http_stream` },
        { transport: 'sse', endpoint: `${origin}/connection/sse` },
      ],
      {
        name: 'laurel-web',
        emulationEndpoint: `${origin}/emulation`,
        // A restarted server is found again within about a second; later the delays, which are random up to
        // their limit, spread its viewers.
        minReconnectDelay: 200,
        maxReconnectDelay: 3_000,
        maxServerPingDelay: 5_000,
      },
    );
    // A server may send everybody away for good. A page that somebody looks at asks again.
    this.#client.on('disconnected', ({ code }) => {
      if (code === UNSUBSCRIBED_BY_US) return;
      setTimeout(() => this.#watchers > 0 && this.#client.connect(), RESYNC_EVERY);
    });
  }

  /** Keeps the store told of a board, from before it exists until the returned function is called. */
  watchBoard(board: string, store: BoardStore): () => void {
    const stopped = new AbortController();
    const wake = new Alarm();
    const subscription = this.#client.newSubscription(`board:${board}`, {
      delta: 'fossil',
      minResubscribeDelay: 200,
      maxResubscribeDelay: 3_000,
    });
    let resyncedAt = 0;

    subscription.on('subscribed', (context) => {
      if (store.current().epoch !== null) wake.ring(); // we were away, and the settings may have changed
      store.dispatch(subscribed(context));
    });
    subscription.on('subscribing', () => store.dispatch({ type: 'lost', at: Date.now() }));
    subscription.on('unsubscribed', (context) => {
      store.dispatch({ type: 'lost', at: Date.now() });
      if (!byUs(context)) setTimeout(() => wake.ring(), REFUSED_RETRY); // deleted, perhaps
    });
    subscription.on('publication', ({ data }) => {
      const { refused } = store.current();
      store.dispatch({ type: 'publication', at: Date.now(), data });
      // A table older than ours is a late one, or the server's store was restored while we watched: the
      // reply to a new subscription tells which.
      if (store.current().refused > refused && Date.now() - resyncedAt > RESYNC_EVERY) {
        resyncedAt = Date.now();
        subscription.unsubscribe();
        subscription.subscribe();
      }
    });

    const clock = setInterval(() => store.dispatch({ type: 'tick', at: Date.now() }), 1_000);
    const onVisible = () => !document.hidden && wake.ring();
    document.addEventListener('visibilitychange', onVisible);
    this.#hold();
    void describe(board, store, subscription, wake, stopped.signal);

    return () => {
      stopped.abort();
      wake.ring();
      clearInterval(clock);
      document.removeEventListener('visibilitychange', onVisible);
      this.#remove(subscription);
      this.#release();
    };
  }

  /** Keeps the store told of one member's place, wherever on the board it is. */
  watchMember(board: string, member: string, store: BoardStore): () => void {
    const subscription = this.#client.newSubscription(`rank:${board}#${member}`);
    const receive = (data: unknown) => store.dispatch({ type: 'standing', at: Date.now(), data });
    let retry: ReturnType<typeof setTimeout> | undefined;
    subscription.on('subscribed', ({ data }) => receive(data));
    subscription.on('publication', ({ data }) => receive(data));
    subscription.on('unsubscribed', (context) => {
      if (!byUs(context)) retry = setTimeout(() => subscription.subscribe(), RESYNC_EVERY);
    });
    this.#hold();
    subscription.subscribe();
    return () => {
      clearTimeout(retry);
      this.#remove(subscription);
      this.#release();
    };
  }

  #hold() {
    this.#watchers++;
    this.#client.connect();
  }

  // From one board to the next the connection stays.
  #release() {
    this.#watchers--;
    setTimeout(() => this.#watchers === 0 && this.#client.disconnect());
  }

  #remove(subscription: Subscription) {
    subscription.unsubscribe();
    this.#client.removeSubscription(subscription);
  }
}

function byUs({ code }: UnsubscribedContext): boolean {
  return code === UNSUBSCRIBED_BY_US || code === CLOSED_BY_US;
}

function subscribed(context: SubscribedContext): Message {
  return {
    type: 'subscribed',
    at: Date.now(),
    epoch: context.streamPosition?.epoch ?? '',
    table: context.hasRecoveredPublications,
  };
}

/** Asks for the board's settings until there are some, and again from time to time; subscribes while it exists. */
async function describe(
  board: string,
  store: BoardStore,
  subscription: Subscription,
  wake: Alarm,
  stopped: AbortSignal,
): Promise<void> {
  let failures = 0;
  while (!stopped.aborted) {
    let delay: number;
    try {
      const found = await fetchBoard(board, stopped);
      if (stopped.aborted) return;
      failures = 0;
      if (found) {
        store.dispatch({ type: 'described', at: Date.now(), board: found });
        subscription.subscribe(); // does nothing when it is
        delay = DESCRIBE_AGAIN;
      } else {
        subscription.unsubscribe();
        store.dispatch({ type: 'missing', at: Date.now() });
        delay = MISSING_RETRY;
      }
    } catch {
      delay = Math.min(5_000, 250 * 2 ** failures++);
    }
    await wake.wait(delay * (0.75 + Math.random() / 2));
  }
}

/** A wait that can be cut short, also by a ring just before it. */
class Alarm {
  #rung = false;
  #wake: (() => void) | null = null;

  ring() {
    this.#rung = true;
    this.#wake?.();
  }

  async wait(milliseconds: number): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, milliseconds);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#rung = false;
    this.#wake = null;
  }
}
