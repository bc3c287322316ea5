// Fails when the JavaScript that a viewer loads with the page is more than its budget, gzipped.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const budget = 100_000; // bytes
const dist = new URL('../dist/', import.meta.url);

const page = readFileSync(new URL('index.html', dist), 'utf8');
const scripts = [...page.matchAll(/(?:src|href)="\/([^"]+\.js)"/g)].map((match) => match[1]);
if (scripts.length === 0) throw new Error('dist/index.html loads no script');

const sizes = scripts.map((name) => gzipSync(readFileSync(new URL(name, dist)), { level: 9 }).length);
const total = sizes.reduce((sum, size) => sum + size, 0);
console.log(`viewer's JavaScript: ${(total / 1000).toFixed(1)} of ${budget / 1000} KB gzip`);
if (total > budget) {
  console.error(`over its budget by ${total - budget} bytes: load later what the first picture does without`);
  process.exit(1);
}
