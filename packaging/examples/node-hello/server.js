// An ordinary Node.js server, without code for systemd, workers or signals.
'use strict';
const http = require('http');

http.createServer((req, res) => {
  res.setHeader('X-Worker', String(process.pid));
  res.end(`hello from pid ${process.pid}\n`);
}).listen(8080);
