// Writes lines to its standard output when asked: /log?id=x&n=1000. One write for each line, as console.log does it; the
// answer comes when the last one has been handed over.
'use strict';
const http = require('http');

const padding = '.'.repeat(80);

http.createServer((req, res) => {
  res.setHeader('X-Worker', String(process.pid));
  const asked = new URL(req.url, 'http://x').searchParams;
  const id = asked.get('id');
  const n = Number(asked.get('n') || 0);
  let i = 0;
  // In steps, so that a side that writes in its event loop gets its turn.
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
