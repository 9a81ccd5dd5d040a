// Writes lines to its standard output on request: /log?id=x&n=1000. Each line is a separate write, like with
// console.log. The response is sent after the last line has been written.
'use strict';
const http = require('http');

const padding = '.'.repeat(80);

http.createServer((req, res) => {
  res.setHeader('X-Worker', String(process.pid));
  const asked = new URL(req.url, 'http://x').searchParams;
  const id = asked.get('id');
  const n = Number(asked.get('n') || 0);
  let i = 0;
  // Write in steps, so that programs which write in their event loop can do so.
  (function step() {
    const end = Math.min(i + 500, n);
    for (; i < end - 1; i++) process.stdout.write(`${id} ${i} ${padding}\n`);
    if (i >= n) {
      res.end('hello\n');
      return;
    }
    process.stdout.write(`${id} ${i++} ${padding}\n`, () => setImmediate(step));
  })();
}).listen(Number(process.env.PORT));
