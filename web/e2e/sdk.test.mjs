// Centrifugo's SDK for browsers, as it is published, on the real server: every transport and both builds.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Laurel, launch } from './laurel.mjs';

const PATIENCE = 20_000; // milliseconds, for machines with much else to do

const builds = {
  json: fileURLToPath(new URL('../node_modules/centrifuge/dist/centrifuge.js', import.meta.url)),
  protobuf: fileURLToPath(new URL('../node_modules/centrifuge/dist/centrifuge.protobuf.js', import.meta.url)),
};

// Server-Sent Events are text: there is no Protobuf over them.
const ways = [
  ['json', 'websocket'],
  ['json', 'sse'],
  ['json', 'http_stream'],
  ['protobuf', 'websocket'],
  ['protobuf', 'http_stream'],
];

// A browser has six connections to a server at most, and each of these takes one for as long as it lives.
const subscriptions = {
  plain: {},
  since: { since: {} },
  delta: { delta: 'fossil' },
  'delta, since': { delta: 'fossil', since: {} },
};

let laurel;
let browser;
const contexts = [];

before(async () => {
  [laurel, browser] = await Promise.all([Laurel.start(), launch()]);
});

after(async () => {
  await browser?.close();
  await laurel?.close();
});

afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close();
});

/** Opens a page of the server's origin that has nothing of ours in it but the SDK and `window.connect`. */
async function open(build) {
  const context = await browser.newContext({ bypassCSP: true });
  contexts.push(context);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.received = [];
  page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => page.received.push(payload)));
  await page.goto(`${laurel.origin}/healthz`);
  await page.addScriptTag({ path: builds[build] });
  await page.evaluate((build) => {
    const decode = (data) => (build === 'json' ? data : JSON.parse(new TextDecoder().decode(data)));
    const encode = (value) => (build === 'json' ? value : new TextEncoder().encode(JSON.stringify(value)));
    window.followed = {};

    window.connect = (transport) => {
      const scheme = transport === 'websocket' ? location.origin.replace('http', 'ws') : location.origin;
      const endpoint = `${scheme}/connection/${transport}`;
      const client = new window.Centrifuge([{ transport, endpoint }], {
        timeout: 20_000,
        minReconnectDelay: 20,
      });
      client.connect();
      return client;
    };

    window.follow = (client, channel, options) => {
      const seen = { transport: '', publications: [], withReply: [], problems: [] };
      const subscription = client.newSubscription(channel, options);
      client.on('connected', (context) => {
        seen.transport = context.transport;
      });
      client.on('error', ({ error }) => seen.problems.push(error));
      subscription.on('error', ({ error }) => seen.problems.push(error));
      subscription.on('unsubscribed', ({ code, reason }) => seen.problems.push({ code, reason }));
      subscription.on('publication', ({ data }) => seen.publications.push(decode(data)));
      subscription.on('subscribed', ({ hasRecoveredPublications }) => {
        const before = seen.publications.length;
        // The SDK passes on what the reply has in it before it does anything else.
        queueMicrotask(() => {
          seen.withReply.push(hasRecoveredPublications ? seen.publications.length - before : 0);
        });
      });
      subscription.subscribe();
      return seen;
    };

    window.rpc = (client, method, params) =>
      client.rpc(method, encode(params)).then(
        ({ data }) => ({ data: decode(data) }),
        (error) => ({ code: error.code, message: error.message }),
      );

    window.tried = (promise) =>
      promise.then(
        () => 'done',
        ({ code, message }) => ({ code, message }),
      );
    window.encode = encode;
  }, build);
  return page;
}

/** Waits for what is true in the page; what was seen instead is in the error. */
async function until(page, condition, argument, report) {
  try {
    await page.waitForFunction(condition, argument, { timeout: PATIENCE });
  } catch (error) {
    throw new Error(`${error.message}\nseen: ${JSON.stringify(await page.evaluate(report))}`);
  }
}

/** What a publication of the board must be, as HTTP has it. */
async function table(board) {
  const { entries, total, season, rev } = await laurel.call('GET', `/${board}/entries`);
  const leaders = entries.map(({ member: name, score, data }) => ({ name, score, ...(data && { data }) }));
  return { leaders, total, season, rev };
}

const members = [
  'Ålesund',
  '佐藤 さくら',
  'Жанна',
  '🌿 Zoë',
  '👩‍👧‍👦',
  'שרה',
  '"quoted" \\',
  '</script>',
  'plain',
  'a\u2028b',
];

/** Makes 50 quick changes, and returns the table after each by its rev. */
async function change(board, seed) {
  const tables = {};
  let state = seed;
  const random = (n) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 16) % n;
  };
  for (let i = 0; i < 50; i++) {
    const member = `${members[random(members.length)]} ${random(2)}`;
    const score = 1 + random(500);
    const data = random(3) ? { name: `${members[random(members.length)]}`, n: random(9) } : undefined;
    await laurel.submit(board, { [member]: { score, data } });
    const now = await table(board);
    tables[now.rev] = now;
  }
  return tables;
}

for (const [build, transport] of ways) {
  describe(`the SDK for ${build} over ${transport}`, () => {
    test('has the table from the subscribe reply, and follows 50 quick changes', async () => {
      const board = `${build}-${transport}`;
      await laurel.create(board, { interval_ms: 20 });
      await laurel.submit(board, { 'Łukasz 🏃': 3, plain: 2 });
      const first = await table(board);
      const page = await open(build);

      // The board is quiet when the first table that a viewer waits for is published.
      await page.evaluate(
        ([transport, channel]) => {
          window.early = window.connect(transport);
          window.followed.early = window.follow(window.early, channel, {});
        },
        [transport, `board:${board}`],
      );
      await until(
        page,
        (rev) => window.followed.early.publications.at(-1)?.rev === rev,
        first.rev,
        () => window.followed,
      );
      await page.evaluate(() => {
        delete window.followed.early;
        window.early.disconnect();
      });
      for (const [name, options] of Object.entries(subscriptions)) {
        await page.evaluate(
          ([name, transport, channel, options]) => {
            window.followed[name] = window.follow(window.connect(transport), channel, options);
          },
          [name, transport, `board:${board}`, options],
        );
        await until(
          page,
          (name) => window.followed[name].withReply.length > 0,
          name,
          () => window.followed,
        );
        const seen = await page.evaluate((name) => window.followed[name], name);
        assert.deepEqual(
          seen,
          { transport, publications: [first], withReply: [1], problems: [] },
          `subscribed with ${name}`,
        );
      }

      const seed = Date.now() % 1_000_000;
      console.log(`seed ${seed}`);
      const tables = { [first.rev]: first, ...(await change(board, seed)) };
      const last = Math.max(...Object.keys(tables).map(Number));
      assert.deepEqual(await table(board), tables[last]);
      await until(
        page,
        (last) => Object.values(window.followed).every((seen) => seen.publications.at(-1).rev === last),
        last,
        () => window.followed,
      );
      for (const [name, seen] of Object.entries(await page.evaluate(() => window.followed))) {
        let rev = 0;
        for (const publication of seen.publications) {
          assert.ok(publication.rev >= rev, `${name} went from rev ${rev} to ${publication.rev}`);
          rev = publication.rev;
          assert.deepEqual(publication, tables[rev], `${name} at rev ${rev}`);
        }
        assert.ok(seen.publications.length > 5, `${name} saw ${seen.publications.length} tables`);
        assert.deepEqual([seen.withReply, seen.problems], [[1], []], name);
      }
      if (build === 'json' && transport === 'websocket') {
        const deltas = page.received.filter((frame) => /"push".*"delta":true/.test(frame)).length;
        assert.ok(deltas > 10, `${deltas} deltas`);
      }
    });

    test('follows a member, and reads', async () => {
      const board = `reads-${build}-${transport}`;
      const member = '佐藤 #1';
      await laurel.create(board, { interval_ms: 20 });
      await laurel.submit(board, { ann: 9, [member]: 5, 'Zoë 🌿': 1 });
      const page = await open(build);
      await page.evaluate(
        ([transport, channel]) => {
          window.client = window.connect(transport);
          window.followed.rank = window.follow(window.client, channel, {});
        },
        [transport, `rank:${board}#${member}`],
      );
      await until(
        page,
        () => window.followed.rank.publications.length > 0,
        null,
        () => window.followed,
      );
      const before = {
        ...{ member, score: 5, rank: 2, total: 3 },
        above: { name: 'ann', score: 9, rank: 1 },
        below: { name: 'Zoë 🌿', score: 1, rank: 3 },
        ...{ season: 1, rev: 4 },
      };
      const seen = await page.evaluate(() => window.followed.rank);
      assert.deepEqual(seen, { transport, publications: [before], withReply: [1], problems: [] });

      await laurel.submit(board, { 'Zoë 🌿': 20 });
      await until(
        page,
        () => window.followed.rank.publications.length > 1,
        null,
        () => window.followed,
      );
      const moved = (await page.evaluate(() => window.followed.rank.publications))[1];
      assert.deepEqual([moved.rank, moved.above.name, moved.below], [3, 'ann', null]);

      const path = `/${board}/entries`;
      const name = encodeURIComponent(member);
      for (const [method, params, wanted] of [
        ['top', { board }, path],
        ['top', { board, limit: 2 }, `${path}?limit=2`],
        ['rank', { board, member }, `${path}/${name}`],
        ['around', { board, member, limit: 2 }, `${path}/${name}/around?limit=2`],
      ]) {
        const answer = await page.evaluate(
          ([method, params]) => window.rpc(window.client, method, params),
          [method, params],
        );
        assert.deepEqual(answer, { data: await laurel.call('GET', wanted) }, method);
      }
      for (const [method, params, code] of [
        ['rank', { board, member: 'nobody' }, 1001],
        ['top', { board: 'nowhere' }, 1000],
        ['top', { board, limit: 0 }, 1012],
        ['around', { board, member: 'a\u0000' }, 1011],
        ['top', { board, size: 3 }, 1014],
        ['erase', { board }, 104],
      ]) {
        const answer = await page.evaluate(
          ([method, params]) => window.rpc(window.client, method, params),
          [method, params],
        );
        assert.equal(answer.code, code, `${method} ${JSON.stringify(params)}: ${JSON.stringify(answer)}`);
        assert.ok(answer.message, method);
      }
    });

    test('is refused what it may not do, and goes on', async () => {
      const board = `refused-${build}-${transport}`;
      await laurel.submit(board, { ann: 1 });
      const page = await open(build);
      const said = await page.evaluate(
        async ([transport, board]) => {
          window.client = window.connect(transport);
          window.ended = [];
          window.client.on('connecting', ({ code }) => window.ended.push(code));
          window.client.on('disconnected', ({ code }) => window.ended.push(code));
          await window.client.ready();
          window.ended.length = 0;
          window.followed.board = window.follow(window.client, `board:${board}`, {});
          const subscription = window.client.getSubscription(`board:${board}`);
          await subscription.ready();
          const data = window.encode({ leaders: [] });
          const refused = {
            publish: await window.tried(window.client.publish(`board:${board}`, data)),
            'publish by the subscription': await window.tried(subscription.publish(data)),
            history: await window.tried(subscription.history({ limit: 10 })),
            presence: await window.tried(subscription.presence()),
            'number of those present': await window.tried(subscription.presenceStats()),
          };
          for (const channel of ['board:nowhere', 'board:', 'rank:nowhere#ann', `rank:${board}`, 'news']) {
            const other = window.client.newSubscription(channel);
            const end = new Promise((resolve) => other.on('unsubscribed', resolve));
            other.subscribe();
            refused[channel] = await end;
          }
          return refused;
        },
        [transport, board],
      );
      for (const [what, { code, message, reason }] of Object.entries(said)) {
        assert.equal(code, what.includes(':') || what === 'news' ? 102 : 108, what);
        assert.ok(message ?? reason, what);
      }
      await laurel.submit(board, { bob: 2 });
      await until(
        page,
        () => window.followed.board.publications.at(-1)?.total === 2,
        null,
        () => window.followed,
      );
      assert.deepEqual(
        await page.evaluate(() => window.followed.board.publications.at(-1)),
        await table(board),
      );
      assert.deepEqual(await page.evaluate(() => window.ended), []);
    });

    test('comes back to a restarted server, whose board is quiet', async () => {
      const board = `again-${build}-${transport}`;
      await laurel.submit(board, { 'Ann Åse': 1 });
      const page = await open(build);
      await page.evaluate(
        ([transport, channel]) => {
          for (const delta of [undefined, 'fossil']) {
            window.followed[delta ?? 'whole'] = window.follow(window.connect(transport), channel, { delta });
          }
        },
        [transport, `board:${board}`],
      );
      const reached = (total) =>
        until(
          page,
          (total) =>
            Object.values(window.followed).every((seen) => seen.publications.at(-1)?.total === total),
          total,
          () => window.followed,
        );
      await reached(1);
      await laurel.kill();
      await laurel.start();
      await until(
        page,
        () => Object.values(window.followed).every((seen) => seen.withReply.length > 1),
        null,
        () => window.followed,
      );
      await laurel.submit(board, { 'Bo Öst': 2 });
      await reached(2);
      const now = await table(board);
      for (const [name, seen] of Object.entries(await page.evaluate(() => window.followed))) {
        assert.deepEqual(seen.publications.at(-1), now, name);
      }
    });
  });
}
