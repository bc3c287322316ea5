// The real server, and the real browser.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

const key = 'a-key-for-the-browser-test-0123456789';
const root = fileURLToPath(new URL('../..', import.meta.url));

/** `laurel serve` in a folder of its own, which can be killed and started again where it was. */
export class Laurel {
  #folder = mkdtempSync(join(tmpdir(), 'laurel-e2e-'));
  #binary = process.env.LAUREL_BIN ? resolve(root, process.env.LAUREL_BIN) : join(this.#folder, 'laurel');
  #listen = '127.0.0.1:0';
  #process = null;

  static async start() {
    const laurel = new Laurel();
    if (!process.env.LAUREL_BIN) {
      // Not `go run`, whose child would survive when it is killed.
      const built = spawnSync('go', ['build', '-o', laurel.#binary, './cmd/laurel'], {
        cwd: root,
        stdio: 'inherit',
      });
      if (built.status !== 0) throw new Error('go build ./cmd/laurel did not succeed');
    }
    await laurel.start();
    return laurel;
  }

  get origin() {
    return `http://${this.#listen}`;
  }

  async start() {
    // Its own environment: it refuses LAUREL_* variables that it does not know.
    const { PATH, HOME } = process.env;
    this.#process = spawn(
      this.#binary,
      ['serve', '--data', join(this.#folder, 'data'), '--listen', this.#listen],
      {
        env: { PATH, HOME, LAUREL_API_KEY: key },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const log = [];
    createInterface(this.#process.stderr).on('line', (line) => log.push(line));
    const lines = createInterface(this.#process.stdout);
    const ended = once(this.#process, 'exit').then(() => {
      throw new Error(`laurel serve ended:\n${log.join('\n')}`);
    });
    const listening = (async () => {
      for await (const line of lines) {
        const address = /listening on http:\/\/(\S+)/.exec(line)?.[1];
        if (address) return address;
      }
      return new Promise(() => {}); // it has ended, which the other promise tells
    })();
    this.#listen = await Promise.race([listening, ended]);
    ended.catch(() => {}); // from now on its end is ours
  }

  async #stop(signal) {
    const process = this.#process;
    if (!process || process.exitCode !== null || process.signalCode !== null) return;
    const exit = once(process, 'exit');
    process.kill(signal);
    await exit;
  }

  kill() {
    return this.#stop('SIGKILL');
  }

  async close() {
    await this.#stop('SIGTERM');
    rmSync(this.#folder, { recursive: true });
  }

  async call(method, path, body) {
    const response = await fetch(`${this.origin}/v1/leaderboards${path}`, {
      method,
      headers: { 'X-API-Key': key, ...(body && { 'Content-Type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? null : response.json();
  }

  create(id, settings = {}) {
    return this.call('POST', '', { id, ...settings });
  }

  /** Submits scores: { ann: 3 } or { ann: { score: 3, data: {} } }. */
  submit(board, scores) {
    const submissions = Object.entries(scores).map(([member, score]) =>
      typeof score === 'number' ? { member, score } : { member, ...score },
    );
    return this.call('POST', `/${board}/scores`, { submissions });
  }

  /** The first members as the store has them. */
  async members(board, limit = 100) {
    const { entries } = await this.call('GET', `/${board}/entries?limit=${limit}`);
    return entries.map(({ member }) => member);
  }
}

export async function launch() {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  if (!existsSync(executablePath)) {
    throw new Error(`no browser at ${executablePath}: install Debian's package chromium, or set CHROMIUM`);
  }
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox', // the tests may run as root
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
