import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Connection } from './connection';
import { initial, placeOf, reduce, type State } from './state';
import { createStore } from './store';

// As much of a server as the connection needs: the board's settings over HTTP, and the commands connect and
// subscribe of the Centrifuge protocol over a socket.
class Server {
  boards = new Set<string>();
  epoch = 'e1';
  tables = new Map<string, unknown>(); // what the reply to a subscription brings, by channel
  subscriptions: string[] = [];
  sockets = new Set<Socket>();
  down = false;

  push(channel: string, data: unknown) {
    for (const socket of this.sockets) socket.reply({ push: { channel, pub: { data } } });
  }

  kill() {
    this.down = true;
    for (const socket of this.sockets) socket.die();
  }

  answer(socket: Socket, command: { id?: number; connect?: object; subscribe?: { channel: string } }) {
    const { id, connect, subscribe } = command;
    if (connect) socket.reply({ id, connect: { client: 'c', version: 'test', ping: 25, pong: true } });
    if (!subscribe) return;
    const { channel } = subscribe;
    if (!this.boards.has(/^\w+:([^#]*)/.exec(channel)?.[1] ?? '')) {
      socket.reply({ id, error: { code: 102, message: 'unknown channel' } });
      return;
    }
    this.subscriptions.push(channel);
    const data = this.tables.get(channel);
    const publications = data === undefined ? [] : [{ data, offset: 1 }];
    const position = { recoverable: true, positioned: true, epoch: this.epoch, offset: 1 };
    socket.reply({
      id,
      subscribe: channel.startsWith('rank:') ? { data } : { ...position, recovered: true, publications },
    });
  }
}

let server: Server;

class Socket {
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;

  constructor() {
    queueMicrotask(() => {
      if (server.down) return this.die();
      this.readyState = 1;
      server.sockets.add(this);
      this.onopen?.();
    });
  }

  send(lines: string) {
    for (const line of lines.split('\n')) {
      if (line !== '') queueMicrotask(() => server.answer(this, JSON.parse(line)));
    }
  }

  reply(reply: object) {
    this.onmessage?.({ data: JSON.stringify(reply) });
  }

  close() {
    this.die();
  }

  die() {
    if (this.readyState === 3) return;
    this.readyState = 3;
    server.sockets.delete(this);
    this.onclose?.({ code: 1006, reason: '' });
  }
}

const stops: (() => void)[] = [];

beforeEach(() => {
  server = new Server();
  vi.stubGlobal('WebSocket', Socket);
  vi.stubGlobal('fetch', async (address: string) => {
    if (server.down) throw new TypeError('no network');
    const id = address.replace('/v1/leaderboards/', '');
    return server.boards.has(id) ? Response.json({ id, decimals: 2 }) : new Response('{}', { status: 404 });
  });
});

afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

function watch(board: string) {
  const connection = new Connection('http://laurel.test');
  const store = createStore(reduce, initial);
  stops.push(connection.watchBoard(board, store));
  return { connection, store };
}

const until = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 10 });

function table(rev: number, ...members: string[]) {
  const leaders = members.map((name, i) => ({ name, score: 100 - i }));
  return { leaders, total: members.length, season: 1, rev };
}

function members({ view }: State): string {
  return view.rows.map(({ member }) => member).join(' ');
}

describe('the connection', () => {
  it('brings the settings, and the first table with the reply to the subscription', async () => {
    server.boards.add('race');
    server.tables.set('board:race', table(7, 'Ann', 'Bob'));
    const { store } = watch('race');
    await until(() => expect(store.current().view.rev).toBe(7));
    expect(store.current()).toMatchObject({ link: 'live', presence: 'found', board: { decimals: 2 } });
    server.push('board:race', table(8, 'Bob', 'Ann'));
    await until(() => expect(members(store.current())).toBe('Bob Ann'));
  });

  it('keeps the rows while the server is away, and takes its word when it is back', async () => {
    server.boards.add('race');
    server.tables.set('board:race', table(7, 'Ann', 'Bob'));
    const { store } = watch('race');
    await until(() => expect(store.current().link).toBe('live'));

    server.kill();
    await until(() => expect(store.current().link).toBe('reconnecting'));
    expect(members(store.current())).toBe('Ann Bob');

    server.tables.set('board:race', table(5, 'Cy')); // restored from a backup
    server.epoch = 'e2';
    server.down = false;
    await until(() => expect(store.current().link).toBe('live'));
    expect(members(store.current())).toBe('Cy');
  });

  it('waits for a board that is not there yet', async () => {
    const { store } = watch('race');
    await until(() => expect(store.current().presence).toBe('missing'));
    expect(server.subscriptions).toEqual([]);
    server.boards.add('race');
    server.tables.set('board:race', table(1, 'Ann'));
    await until(() => expect(members(store.current())).toBe('Ann'));
    expect(store.current()).toMatchObject({ link: 'live', presence: 'found' });
  });

  it('notices that the board is gone', async () => {
    server.boards.add('race');
    server.tables.set('board:race', table(7, 'Ann'));
    const { store } = watch('race');
    await until(() => expect(store.current().link).toBe('live'));
    server.boards.delete('race');
    for (const socket of server.sockets) {
      socket.reply({ push: { channel: 'board:race', unsubscribe: { code: 2000, reason: 'gone' } } });
    }
    await until(() => expect(store.current().presence).toBe('missing'));
    expect(store.current().view.received).toBe(false);
  });

  it('asks again when it is sent an older table while it watches', async () => {
    server.boards.add('race');
    server.tables.set('board:race', table(90, 'Ann', 'Bob'));
    const { store } = watch('race');
    await until(() => expect(store.current().view.rev).toBe(90));
    server.tables.set('board:race', table(12, 'Cy'));
    server.push('board:race', table(12, 'Cy'));
    await until(() => expect(store.current().refused).toBe(1));
    await until(() => expect(members(store.current())).toBe('Cy'));
    expect(server.subscriptions).toEqual(['board:race', 'board:race']);
  });

  it('follows a member, from the reply on', async () => {
    server.boards.add('race');
    server.tables.set('board:race', table(7, 'Ann'));
    const zed = {
      member: 'Zed #1',
      score: 3,
      rank: 90,
      total: 99,
      above: null,
      below: null,
      season: 1,
      rev: 7,
    };
    server.tables.set('rank:race#Zed #1', zed);
    const { connection, store } = watch('race');
    store.dispatch({ type: 'follow', member: 'Zed #1' });
    stops.push(connection.watchMember('race', 'Zed #1', store));
    await until(() => expect(placeOf(store.current())?.rank).toBe(90));
    server.push('rank:race#Zed #1', { ...zed, rank: 88, rev: 8 });
    await until(() => expect(placeOf(store.current())).toMatchObject({ rank: 88, change: 2 }));
  });

  it('closes when nobody watches any more', async () => {
    server.boards.add('race');
    const { store } = watch('race');
    await until(() => expect(store.current().link).toBe('live'));
    expect(server.sockets.size).toBe(1);
    for (const stop of stops.splice(0)) stop();
    await until(() => expect(server.sockets.size).toBe(0));
  });
});
