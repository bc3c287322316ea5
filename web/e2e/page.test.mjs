// The page in a browser, on the real server and its real store.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, afterEach, before, describe, test } from 'node:test';

import { Laurel, launch } from './laurel.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PATIENCE = 20_000; // milliseconds, for machines with much else to do

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

/** Opens a page; whatever breaks in it fails the test that waits for `page.broken`. */
async function open(path, { width = 1280, height = 800, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, ...options });
  contexts.push(context);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.broken = [];
  page.on('pageerror', (error) => page.broken.push(error.message));
  page.on('console', (message) => {
    // Chromium reports each answer of 404 and each refused connection, which are part of the tests.
    if (message.type() === 'error' && !/Failed to load resource|WebSocket connection/.test(message.text())) {
      page.broken.push(message.text());
    }
  });
  await page.goto(laurel.origin + path);
  return page;
}

const state = (page, word) => page.getByText(word, { exact: true }).waitFor();

const names = (page) => page.getByRole('rowheader').allTextContents();

/** Waits until the page shows these names, in this order. */
async function shows(page, wanted) {
  try {
    await page.waitForFunction(
      (wanted) => {
        const cells = document.querySelectorAll('[role=rowheader]');
        return JSON.stringify([...cells].map((cell) => cell.textContent)) === JSON.stringify(wanted);
      },
      wanted,
      { timeout: PATIENCE },
    );
  } catch {
    assert.deepEqual(await names(page), wanted);
  }
}

describe('a board', () => {
  test('shows the store’s order, and follows it', async () => {
    await laurel.create('follow');
    await laurel.submit('follow', {
      alice: 30,
      bob: 20,
      carol: { score: 10, data: { name: 'Çarol 佐藤 🌿' } },
    });
    const page = await open('/b/follow');
    await state(page, 'LIVE');
    await shows(page, ['alice', 'bob', 'Çarol 佐藤 🌿']);

    await laurel.submit('follow', { carol: 15, dave: 22 });
    assert.deepEqual(await laurel.members('follow'), ['alice', 'carol', 'dave', 'bob']);
    await shows(page, ['alice', 'Çarol 佐藤 🌿', 'dave', 'bob']);
    const carol = page.getByRole('row', { name: 'Çarol' });
    assert.match(await carol.innerText(), /up 1/);
    assert.match(await page.getByRole('row', { name: 'bob' }).innerText(), /2 behind/);

    await laurel.call('DELETE', '/follow/entries/alice');
    await shows(page, ['Çarol 佐藤 🌿', 'dave', 'bob']);
    assert.deepEqual(page.broken, []);
  });

  test('sends deltas, not tables', async () => {
    const scores = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`member-${i}`, 1000 + i]));
    await laurel.submit('delta', scores);
    const page = await open('/');
    const frames = [];
    page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => frames.push(payload)));
    await page.goto(`${laurel.origin}/b/delta`);
    await state(page, 'LIVE');
    await page.getByText('member-99', { exact: true }).waitFor();
    frames.length = 0;
    await laurel.submit('delta', { 'member-0': 5000 });
    await page.getByText('member-0', { exact: true }).waitFor();
    const frame = frames.find((frame) => frame.includes('"pub"'));
    assert.ok(frame.includes('"delta":true'), `not a delta: ${frame.slice(0, 200)}`);
    assert.ok(frame.length < 600, `${frame.length} bytes for one move`);
  });

  test('stands in order in the document at every moment, with few rows in it', async () => {
    await laurel.create('busy', { top: 500, interval_ms: 20 });
    const members = Array.from({ length: 600 }, (_, i) => `m${i}`);
    await laurel.submit('busy', Object.fromEntries(members.map((member, i) => [member, 10_000 - i])));
    const page = await open('/b/busy');
    await state(page, 'LIVE');
    await page.evaluate(() => {
      window.seen = { frames: 0, disorder: 0, most: 0 };
      (function look() {
        const rows = [...document.querySelectorAll('[role=row]')].map((row) =>
          Number(row.ariaRowIndex ?? row.getAttribute('aria-rowindex')),
        );
        window.seen.frames++;
        window.seen.disorder += rows.some((index, i) => i > 0 && index <= rows[i - 1]) ? 1 : 0;
        window.seen.most = Math.max(window.seen.most, rows.length);
        requestAnimationFrame(look);
      })();
    });
    let seen;
    for (let i = 0; i < 1000; i++) {
      const at = (n) => members[(i * 7 + n * 13) % 30];
      await laurel.submit('busy', { [at(0)]: 40 + i, [at(1)]: 25, [at(2)]: 9 });
      if (i === 20) await page.mouse.wheel(0, 3000);
      seen = await page.evaluate(() => window.seen);
      if (i > 40 && seen.frames > 60) break;
    }
    assert.ok(seen.frames > 60, `${seen.frames} frames`);
    assert.equal(seen.disorder, 0);
    assert.ok(seen.most <= 60, `${seen.most} rows of 500 in the document`);
    await page.evaluate(() => scrollTo(0, 0));
    const wanted = await laurel.members('busy', 10);
    await page.waitForFunction(
      (wanted) =>
        [...document.querySelectorAll('[role=rowheader]')]
          .slice(0, 10)
          .map((cell) => cell.textContent)
          .join() === wanted.join(),
      wanted,
    );
    assert.deepEqual(page.broken, []);
  });

  test('works where WebSocket does not', async () => {
    await laurel.submit('stream', { ann: 2, bob: 1 });
    const page = await open('/');
    await page.addInitScript(() => {
      delete window.WebSocket;
    });
    await page.goto(`${laurel.origin}/b/stream`);
    await state(page, 'LIVE');
    await shows(page, ['ann', 'bob']);
    await laurel.submit('stream', { bob: 5 });
    await shows(page, ['bob', 'ann']);
  });

  test('that does not exist is shown as soon as it does', async () => {
    const page = await open('/b/later');
    await page.getByRole('heading', { name: 'No board called later' }).waitFor();
    await laurel.submit('later', { ann: 1 });
    await shows(page, ['ann']);
    await state(page, 'LIVE');
    assert.deepEqual(page.broken, []);
  });
});

test('a killed server leaves the rows, and comes back by itself', async () => {
  await laurel.submit('outage', { ann: 3, bob: 2, cy: 1 });
  const page = await open('/b/outage');
  await state(page, 'LIVE');
  await shows(page, ['ann', 'bob', 'cy']);
  await page.evaluate(() => {
    window.neverReloaded = true;
  });

  await laurel.kill();
  await state(page, 'RECONNECTING');
  await page.getByText(/^as of \d+ s ago$/).waitFor();
  assert.deepEqual(await names(page), ['ann', 'bob', 'cy']);
  await state(page, 'STALE');
  assert.deepEqual(await names(page), ['ann', 'bob', 'cy']);

  await laurel.start();
  const started = performance.now();
  await state(page, 'LIVE');
  console.log(`live again ${Math.round(performance.now() - started)} ms after the server listened`);
  assert.deepEqual(await names(page), ['ann', 'bob', 'cy']);
  await laurel.submit('outage', { cy: 10 });
  await shows(page, ['cy', 'ann', 'bob']);
  assert.ok(await page.evaluate(() => window.neverReloaded));
  assert.deepEqual(page.broken, []);
});

describe('a followed member', () => {
  test('has its place on the screen, in the table and below it', async () => {
    await laurel.create('places', { top: 5 });
    await laurel.submit(
      'places',
      Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`m${i}`, 100 - i])),
    );
    const page = await open('/b/places?member=m15');
    const card = page.getByRole('region', { name: 'Followed: m15' });
    await card.getByText('16th').waitFor();
    assert.match(await card.innerText(), /of 20 · 1 behind m14 \(15th\)/);

    await laurel.submit('places', { m15: 10 }); // from 85 to 95: with m5, who was there first
    await card.getByText('7th').waitFor();
    await card.getByText('of 20 · level with m5 (6th)').waitFor();
    await laurel.submit('places', { m15: 100 });
    await card.getByText('1st').waitFor();
    const row = page.getByRole('row', { name: 'm15' });
    assert.equal(await row.getAttribute('aria-current'), 'true');
  });

  test('is found by typing, and stays in the address', async () => {
    await laurel.submit('typed', { ann: 3, bob: { score: 2, data: { name: 'Bobby' } } });
    const page = await open('/b/typed');
    await state(page, 'LIVE');
    await page.getByLabel('Follow a member').fill('bobby');
    await page.keyboard.press('Enter');
    await page.getByRole('region', { name: 'Followed: Bobby' }).waitFor();
    assert.equal(new URL(page.url()).search, '?member=bob');
    await page.reload();
    await page.getByRole('region', { name: 'Followed: Bobby' }).getByText('2nd').waitFor();
    await page.goBack();
    await page.getByRole('region').waitFor({ state: 'detached' });
  });
});

describe('who uses the keyboard', () => {
  test('can pause and go on', async () => {
    await laurel.submit('paused', { ann: 3, bob: 2 });
    const page = await open('/b/paused');
    await state(page, 'LIVE');
    const focused = () => page.evaluate(() => document.activeElement.textContent);
    for (let i = 0; i < 10 && (await focused()) !== 'Pause'; i++) await page.keyboard.press('Tab');
    assert.equal(await focused(), 'Pause');
    await page.keyboard.press('Enter');
    await state(page, 'PAUSED');
    await laurel.submit('paused', { bob: 20 });
    await laurel.submit('paused', { cy: 30 });
    // The list, in another tab, tells that the page could have known for a while.
    const list = await open('/');
    await list.getByRole('link', { name: /^paused\s*3 members/ }).waitFor();
    assert.deepEqual(await names(page), ['ann', 'bob']);
    await page.keyboard.press('Enter');
    await shows(page, ['cy', 'bob', 'ann']);
    assert.equal(await focused(), 'Pause');
  });

  test('keeps the focus on a row that moves', async () => {
    await laurel.submit('focus', { ann: 5, bob: 4, cy: 3 });
    const page = await open('/b/focus');
    await state(page, 'LIVE');
    const link = page.getByRole('link', { name: 'cy' });
    await link.focus();
    await laurel.submit('focus', { cy: 10 });
    await shows(page, ['cy', 'ann', 'bob']);
    assert.ok(await link.evaluate((element) => element === document.activeElement));
  });
});

describe('motion', () => {
  // How many animations have run while a board was busy for a second and more.
  async function animations(board, options) {
    await laurel.create(board, { interval_ms: 20 });
    await laurel.submit(board, { ann: 5, bob: 4, cy: 3 });
    const page = await open(`/b/${board}`, options);
    await state(page, 'LIVE');
    await shows(page, ['ann', 'bob', 'cy']);
    await page.evaluate(() => {
      window.animated = 0;
      (function look() {
        window.animated += document.getAnimations().length;
        requestAnimationFrame(look);
      })();
    });
    for (const member of ['cy', 'bob', 'ann', 'cy', 'bob', 'ann', 'dan']) {
      await laurel.submit(board, { [member]: 100 });
      const members = await laurel.members(board);
      await shows(page, members);
    }
    return page.evaluate(() => window.animated);
  }

  test('is there', async () => {
    assert.ok((await animations('moving', { reducedMotion: 'no-preference' })) > 0);
  });

  test('is not there for who prefers it so', async () => {
    assert.equal(await animations('still', { reducedMotion: 'reduce' }), 0);
  });
});

describe('everybody', () => {
  before(async () => {
    await laurel.create('empty');
    await laurel.create('mixed', { decimals: 2, rank_style: 'competition', top: 20 });
    const members = Array.from({ length: 40 }, (_, i) => [`m${i}`, { score: 9000 - 7.25 * (i - (i % 3)) }]);
    await laurel.submit('mixed', Object.fromEntries(members));
    await laurel.submit('mixed', {
      'a-member-with-a-name-that-is-longer-than-any-telephone-is-wide-and-has-no-space-in-it': 8999.5,
    });
  });

  const pages = ['/', '/b/mixed?member=m3', '/b/mixed?member=m39', '/b/empty', '/b/not-there', '/index.html'];

  for (const colorScheme of ['light', 'dark']) {
    for (const path of pages) {
      test(`finds nothing in the way at ${path}, ${colorScheme}`, async () => {
        const page = await open(path, { colorScheme });
        await settled(page, path);
        if (path.includes('mixed')) await laurel.submit('mixed', { m3: 0.25, m39: 0.25, m1: 900 });
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => window.axe.run());
        const found = violations.map(
          ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join('\n  ')}`,
        );
        assert.deepEqual(found, []);
        assert.deepEqual(page.broken, []);
      });
    }
  }

  for (const path of pages) {
    test(`can read ${path} on a screen of 320 px without scrolling sideways`, async () => {
      const page = await open(path, { width: 320, height: 640, hasTouch: true });
      await settled(page, path);
      const widths = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.deepEqual(widths, [320, 320]);
    });
  }

  test('can read who is followed on a screen of 320 px beside the largest of scores', async () => {
    await laurel.submit('largest', { Ann: 9_007_199_254_740_991, Bob: 9_007_199_254_740_990 });
    const page = await open('/b/largest?member=Bob', { width: 320, height: 640 });
    await settled(page, '/b/largest?member=Bob');
    const card = page.getByRole('region', { name: 'Followed: Bob' });
    await card.getByText('1 behind Ann').waitFor();
    const [{ height }, { width }] = [
      await card.boundingBox(),
      await card.getByText('Bob', { exact: true }).boundingBox(),
    ];
    assert.ok(width >= 28, `the name has ${width} px`);
    assert.ok(height <= 150, `the card covers ${height} px`);
  });

  async function settled(page, path) {
    if (path === '/') await page.getByRole('link', { name: /mixed/ }).waitFor();
    else if (path.startsWith('/b/not')) await page.getByText(/curl -X POST/).waitFor();
    else if (path.startsWith('/b/')) await state(page, 'LIVE');
    else await page.getByRole('heading', { name: 'Nothing here' }).waitFor();
    if (path.includes('member='))
      await page
        .getByRole('region')
        .getByText(/\d(st|nd|rd|th)$/)
        .waitFor();
  }
});

if (process.env.LAUREL_SCREENSHOT) {
  test('a picture for the documentation', async () => {
    const people = 'Amara Björn Chiara Dmitri Élodie Farid Greta Hina Iker Joana Kofi Lena'.split(' ');
    const places = people.map((name, i) => [
      `u${i}`,
      { score: 12_480 - 173 * i - 31 * (i % 3), data: { name } },
    ]);
    const crowd = Array.from({ length: 900 }, (_, i) => [`crowd-${i}`, { score: 9_000 - 7 * i }]);
    await laurel.submit('spring-cup', Object.fromEntries([...places, ...crowd]));
    const page = await open('/b/spring-cup?member=u6', { deviceScaleFactor: 2 });
    await state(page, 'LIVE');
    await laurel.submit('spring-cup', { u2: 420, u5: 260, u8: 300, u6: 40 });
    await page.getByText('changed just now').waitFor();
    await page.waitForFunction(() => document.getAnimations().length === 0);
    await page.screenshot({ path: process.env.LAUREL_SCREENSHOT });
  });
}
