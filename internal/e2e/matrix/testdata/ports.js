// This server listens on three ports: on all addresses, on the loopback address, and on all IPv4 addresses.
const http = require('http');

for (const [port, host] of [[8601], [8602, '127.0.0.1'], [8603, '0.0.0.0']]) {
  http.createServer((req, res) => res.end(`hello from ${req.url} by ${process.pid}\n`)).listen(port, host);
}
