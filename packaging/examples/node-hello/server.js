// An ordinary Node.js server. It knows nothing of systemd, workers or signals.
'use strict';
const http = require('http');

http.createServer((req, res) => {
  res.setHeader('X-Worker', String(process.pid));
  res.end(`hello from pid ${process.pid}\n`);
}).listen(8080);
